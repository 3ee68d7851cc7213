"""Sources, quantizers and placements by name, and what a quantizer says when it is asked."""

from collections.abc import Callable, Iterator, Mapping
from typing import cast

import torch

from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Matrix, QuantizedMatrix, Quantizer
from gpt2sdk.components.runner import Runner
from gpt2sdk.components.weights import ModelSource
from gpt2sdk.errors import OptionError, PlacementError
from gpt2sdk.loading.claims import configured_quantizer
from gpt2sdk.loading.failures import naming
from gpt2sdk.loading.habits import check_habit
from gpt2sdk.loading.load_settings import Quantization, QuantizationConfig
from gpt2sdk.loading.precision import is_here
from gpt2sdk.plugins.registry import Registry


def installed_sources(registry: Registry) -> list[ModelSource]:
    """Return the installed model sources."""
    made = (offer.component() for offer in registry.offers(ModelSource))
    return [source for source in made if isinstance(source, ModelSource)]


def find_quantizer(quantization: Quantization, registry: Registry) -> Quantizer:
    """Return a quantizer, the installed one of a name, or the one that a config asks for.

    Raises:
        OptionError: If there is none of this name, or for this config.
        PluginConflictError: If several take the config.
    """
    if isinstance(quantization, Quantizer):
        return quantization
    if isinstance(quantization, Mapping):
        return configured_quantizer(quantization, registry)
    if isinstance(quantization, QuantizationConfig):
        return configured_quantizer(quantization.to_dict(), registry)
    if not isinstance(quantization, str):
        raise _unfit("quantization", quantization, "a quantizer, the name of one or a config")
    if not registry.named(quantization, Quantizer):
        check_habit(quantization, registry)
    kind = registry.find(Quantizer, quantization)  # type: ignore[type-abstract]
    return kind()


def find_placement(
    placement: str | Mapping[str, object] | Placement, registry: Registry
) -> Placement:
    """Return a placement, the installed one of a name, or the one that follows a device map.

    Raises:
        OptionError: If there is none of this name.
    """
    if isinstance(placement, Placement):
        return placement
    if isinstance(placement, Mapping):
        kind = registry.find(Placement, "device_map")  # type: ignore[type-abstract]
        return cast("Callable[..., Placement]", kind)(device_map=dict(placement))
    if not isinstance(placement, str):
        raise _unfit("placement", placement, "a placement, the name of one or a device map")
    kind = registry.find(Placement, placement)  # type: ignore[type-abstract]
    return kind()


def find_runners(asked: str | Runner, registry: Registry) -> tuple[Runner, ...]:
    """Return the runner that was asked for, or those that "auto" tries, in their order.

    Raises:
        OptionError: If there is none of this name.
    """
    if isinstance(asked, Runner):
        return (asked,)
    if asked == "auto":
        made = (offer.component() for offer in registry.offers(Runner))
        found = [each for each in made if isinstance(each, Runner)]
        return tuple(sorted(found, key=lambda each: (each.order, each.name)))
    if not isinstance(asked, str):
        raise _unfit("runner", asked, "a runner or the name of one")
    return (registry.find(Runner, asked)(),)  # type: ignore[type-abstract]


def ladder(registry: Registry, device: torch.device) -> Iterator[tuple[Quantizer, str]]:
    """Yield the quantizers for "auto" that work on a device, best quality first.

    Each comes with how it computes there.
    """
    kinds = [
        (offer.component.ladder, offer.name, offer.component)
        for offer in registry.offers(Quantizer)
        if issubclass(offer.component, Quantizer) and offer.component.ladder is not None
    ]
    for _, _, kind in sorted(kinds, key=lambda kind: kind[:2]):
        quantizer = kind()
        try:
            yield quantizer, probe(quantizer, device)
        except PlacementError:
            continue


def probe(quantizer: Quantizer, device: torch.device) -> str:
    """Ask how a quantizer computes on a device; whatever it does wrong carries its name.

    One that is not here cannot be asked.

    Raises:
        PlacementError: If it does not work there.
    """
    if not is_here(device):
        return f"not known: {device} is not here"
    with naming(quantizer, f"failed on {device}"):
        return quantizer.probe(device)


def plan_matrix(
    quantizer: Quantizer, matrix: Matrix, device: torch.device
) -> QuantizedMatrix | None:
    """Ask what becomes of a matrix; whatever the quantizer does wrong carries its name."""
    with naming(quantizer, f"failed to plan {matrix.name}"):
        return quantizer.plan(matrix, device)


def _unfit(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name}={value!r}: expected {expected}", name=name, value=value, expected=expected
    )
