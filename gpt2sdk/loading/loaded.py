"""A model that is ready to run, from its name."""

from dataclasses import dataclass
from pathlib import Path

from gpt2sdk.allocator import tight_memory
from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.language import Language
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.loading.assembly import build
from gpt2sdk.loading.device_memory import check_presence, planned_device
from gpt2sdk.loading.load_settings import LoadSettings
from gpt2sdk.loading.location import Hub, Provenance
from gpt2sdk.loading.opening import open_model
from gpt2sdk.loading.plan import LoadPlan
from gpt2sdk.loading.planning import plan_opened
from gpt2sdk.loading.precision import parse_device, parse_dtype
from gpt2sdk.plugins.registry import Registry, default_registry
from gpt2sdk.tokenizer.end_tokens import EndTokens


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready, with what belongs to it.

    Attributes:
        model: The network, on its devices, in evaluation mode.
        tokenizer: Its tokenizer.
        architecture: What it is; the ties are those of the loaded weights.
        end_tokens: The tokens that end a text.
        source: Where it came from.
        plan: What was done.
        quantizer: What holds its matrices in fewer bits; saving it takes this. `None` for nothing.
        notes: What was decided or noticed while loading, one line each.
    """

    model: CausalLM
    tokenizer: Language
    architecture: Architecture
    end_tokens: EndTokens
    source: Provenance
    plan: LoadPlan
    quantizer: Quantizer | None
    notes: tuple[str, ...]


def load(
    name: str | Path,
    settings: LoadSettings | None = None,
    *,
    hub: Hub | None = None,
    registry: Registry | None = None,
) -> Loaded:
    """Load a model with its tokenizer: in evaluation mode, and frozen.

    Args:
        name: A name that an installed model source knows, a local folder or file, or a hub id;
            they are tried in this order.
        settings: In which form, where to, and within how much memory; as it is stored by default.
        hub: How to reach the hub.
        registry: Where sources, formats, quantizers and placements are looked for; all installed
            ones by default.

    Raises:
        CheckpointError: If the model is not found, or its files don't fit together.
        TokenizerError: If there is no tokenizer, or it is another model's.
        OptionError: If a setting makes no sense.
        PlacementError: If the devices' memory does not suffice.
    """
    settings = settings or LoadSettings()
    registry = registry or default_registry()
    device = parse_device(settings.device)
    check_presence(settings.max_memory)
    parse_dtype(settings.dtype)
    opened = open_model(name, registry=registry, hub=hub, device=device)
    tokenizer = opened.tokenizer()
    plan = plan_opened(opened, settings, registry, device)
    with tight_memory():
        model = build(opened.checkpoint, plan)
    return Loaded(
        model,
        tokenizer,
        opened.architecture,
        opened.end_tokens(tokenizer),
        opened.source,
        plan,
        plan.quantizer,
        plan.notes,
    )


def plan_load(
    name: str | Path,
    settings: LoadSettings | None = None,
    *,
    hub: Hub | None = None,
    registry: Registry | None = None,
) -> LoadPlan:
    """Say what `load` would do: formats, bytes and places. Nothing is allocated for weights.

    The arguments are those of `load`, and so are the errors, but a tokenizer is not looked for,
    and devices need not be here: where `max_memory` names GPUs and there is none, the plan is for
    a machine that has them.

    Raises:
        CheckpointError: If the model is not found, or its files don't fit together.
        OptionError: If a setting makes no sense.
        PlacementError: If the devices' memory does not suffice.
    """
    settings = settings or LoadSettings()
    registry = registry or default_registry()
    device = planned_device(settings.device, settings.max_memory)
    opened = open_model(name, registry=registry, hub=hub, device=device)
    return plan_opened(opened, settings, registry, device)
