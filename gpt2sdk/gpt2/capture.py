"""Looking into a model while it runs, and changing what its modules return.

Both are hooks on modules: a prepared model sees them and calls its modules, under their names,
for as long as they are there.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import cast, final

from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk.errors import OptionError


@final
class Activations(Mapping[str, list[Tensor]]):
    """What modules returned: for each name a tensor per call, in the order of the calls.

    Whole sequences give `[batch, time, width]`, scoring gives `[fed, width]` with all tokens of a
    call one behind the other. The tensors are those the model goes on with.

    Attributes:
        inputs: What the modules were given, likewise; empty unless it was asked for.
    """

    def __init__(self, names: Sequence[str], *, inputs: bool) -> None:
        self._outputs: dict[str, list[Tensor]] = {name: [] for name in names}
        self.inputs: dict[str, list[Tensor]] = {name: [] for name in names} if inputs else {}

    @override
    def __getitem__(self, name: str) -> list[Tensor]:
        return self._outputs[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    @override
    def __len__(self) -> int:
        return len(self._outputs)

    def clear(self) -> None:
        """Forget what was recorded; the names stay."""
        for recorded in (*self._outputs.values(), *self.inputs.values()):
            recorded.clear()

    def record(self, name: str, given: Tensor, output: Tensor) -> None:
        """Add a call."""
        self._outputs[name].append(output)
        if name in self.inputs:
            self.inputs[name].append(given)


@contextmanager
def capturing(model: nn.Module, patterns: Sequence[str], *, inputs: bool) -> Iterator[Activations]:
    """Record what the modules of these names return, and what they are given."""
    found = matching(model, patterns)
    activations = Activations(list(found), inputs=inputs)

    def hook(name: str, _module: nn.Module, given: tuple[object, ...], output: Tensor) -> None:
        activations.record(name, cast("Tensor", given[0]), output)

    with ExitStack() as hooks:
        for name, module in found.items():
            handle = module.register_forward_hook(partial(hook, name))
            hooks.callback(handle.remove)
        yield activations


@contextmanager
def patching(
    model: nn.Module,
    changes: str | Mapping[str, Callable[[Tensor], Tensor]],
    change: Callable[[Tensor], Tensor] | None,
) -> Iterator[None]:
    """Replace what the modules of these names return."""
    if isinstance(changes, str):
        if change is None:
            raise OptionError(f"patch of {changes}: expected a function beside the name")
        changes = {changes: change}
    elif change is not None:
        raise OptionError("patch: expected a mapping, or a name and a function, not both")
    found = [(function, matching(model, [name])) for name, function in changes.items()]
    with ExitStack() as hooks:
        for function, modules in found:
            for name, module in modules.items():
                handle = module.register_forward_hook(partial(_replace, name, function))
                hooks.callback(handle.remove)
        yield


def matching(model: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Module]:
    """Find the modules that patterns name, in the model's order.

    Raises:
        OptionError: If a pattern matches none; the message names close ones.
    """
    modules = {
        name: module
        for name, module in model.named_modules()
        if name and not isinstance(module, nn.ModuleList)
    }
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in modules):
            near = difflib.get_close_matches(pattern, modules, n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise OptionError(
                f"{pattern}: no module of this name{hint}",
                name="pattern",
                value=pattern,
                expected="a module's name",
            )
    return {
        name: module
        for name, module in modules.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _replace(
    name: str,
    change: Callable[[Tensor], Tensor],
    _module: nn.Module,
    _given: tuple[object, ...],
    output: Tensor,
) -> Tensor:
    changed = change(output)
    if not isinstance(changed, Tensor) or changed.shape != output.shape:
        got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        raise OptionError(
            f"patch of {name}: expected a tensor of shape {tuple(output.shape)}, got {got}",
            name=name,
        )
    return changed
