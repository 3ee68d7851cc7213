"""What computes a loaded model's scores."""

from collections.abc import Iterator

from torch import nn

from gpt2sdk.allocator import tight_memory
from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.runner import Runner
from gpt2sdk.errors import OptionError
from gpt2sdk.loading.lookup import find_runners
from gpt2sdk.mention import argument
from gpt2sdk.plugins.registry import Registry


def prepare(
    model: CausalLM, architecture: Architecture, asked: str | Runner, registry: Registry
) -> list[str]:
    """Let a runner have a loaded model, and say which one it is and why not another.

    Args:
        model: The model, with its adapter.
        architecture: What it is.
        asked: A runner, the name of one, or "auto".
        registry: Where they are looked for.

    Raises:
        OptionError: If the runner that was asked for cannot run the model.
    """
    runners = find_runners(asked, registry)
    with tight_memory():
        chosen = architecture.prepare(model, runners)
    # The torch functions are what is left where nothing else runs, modules' own included.
    if asked != "auto" and chosen not in runners and runners[0].name != "torch":
        name = runners[0].name
        why = chosen and runners[0].probe(_module(model), model.device)
        raise OptionError(
            f"{argument('runner', name)} cannot run this model: "
            f"{why or 'all its modules are called'}; leave it out",
            name="runner",
            value=asked,
        )
    return list(_notes(model, chosen, runners))


def _module(model: CausalLM) -> nn.Module | None:
    """Return a model as runners are asked about it."""
    return model if isinstance(model, nn.Module) else None


def _notes(model: CausalLM, chosen: Runner | None, runners: tuple[Runner, ...]) -> Iterator[str]:
    """Say who runs, where there was a choice."""
    if chosen is None or len(runners) == 1:
        return
    yield f"runner: {chosen.name}"
    for runner in runners[: runners.index(chosen)] if chosen in runners else ():
        yield f"not the runner {runner.name}: {runner.probe(_module(model), model.device)}"
