"""Quantizers and placements by name, and the quantizer that reads a checkpoint."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import torch

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Matrix, QuantizedMatrix, Quantizer
from gpt2sdk.components.weights import CheckpointFormat, ModelSource
from gpt2sdk.config_files import ConfigFiles
from gpt2sdk.errors import (
    CheckpointError,
    OptionError,
    PlacementError,
    PluginConflictError,
    listing,
)
from gpt2sdk.loading.failures import naming
from gpt2sdk.loading.habits import check_habit
from gpt2sdk.loading.precision import is_here
from gpt2sdk.loading.settings import Quantization, QuantizationConfig
from gpt2sdk.mention import argument
from gpt2sdk.plugins.registry import Offer, Registry

# Who reads what other programs write, for those who lack the plugin.
_READERS = {"bitsandbytes": "gpt2sdk-bitsandbytes"}


def installed_sources(registry: Registry) -> list[ModelSource]:
    """Return the installed model sources."""
    made = (offer.component() for offer in registry.offers(ModelSource))
    return [source for source in made if isinstance(source, ModelSource)]


def format_of(path: Path, registry: Registry) -> CheckpointFormat | None:
    """Return the installed format that reads a file: the one of the longest suffix that fits.

    Returns:
        `None` for a folder, and for a file of no installed format.

    Raises:
        PluginConflictError: If several plugins have a format of this suffix.
    """
    if not path.is_file():
        return None
    offers: dict[str, list[Offer]] = {}
    for offer in registry.offers(CheckpointFormat):
        if issubclass(offer.component, CheckpointFormat):
            offers.setdefault(offer.component.suffix.lower(), []).append(offer)
    fitting = [suffix for suffix in offers if path.name.lower().endswith(suffix)]
    if not fitting:
        return None
    suffix = max(fitting, key=len)
    found = offers[suffix]
    if len(found) > 1:
        raise PluginConflictError(
            f"{path}: several plugins read {suffix} files: {listing([str(o) for o in found])}; "
            "uninstall one, or name in GPT2SDK_PLUGINS those to use"
        )
    made = found[0].component()
    return made if isinstance(made, CheckpointFormat) else None


def claimed_architecture(config: ConfigFiles, registry: Registry) -> Architecture:
    """Return the installed architecture that a config describes.

    Raises:
        CheckpointError: If nobody claims it; the message lists what is installed.
        PluginConflictError: If several do.
    """
    found: dict[str, Architecture] = {}
    kinds: list[type[Architecture]] = []
    for offer in registry.offers(Architecture):
        kind = offer.component
        if issubclass(kind, Architecture):
            kinds.append(kind)
            with naming(kind, f"failed on {config.path}"):
                claimed = kind.claim(config)
            if claimed is not None:
                found[str(offer)] = claimed
    if len(found) > 1:
        names = listing(list(found))
        raise PluginConflictError(f"{config.path}: several architectures claim it: {names}")
    if found:
        return next(iter(found.values()))
    installed = "; ".join(f"{kind.name} claims {kind.claims()}" for kind in kinds)
    kept = config.values.get("model_type")
    said = "has no model_type" if kept is None else f"says model_type={kept!r}"
    raise CheckpointError(
        f"{config.path}: {said}, and no installed architecture claims it: {installed}; expected "
        f"one of these, or a plugin with its architecture: see {argument('plugins')}",
        path=config.path,
    )


def architecture_of(
    model: CausalLM, registry: Registry, loaded: Architecture | None = None
) -> Architecture:
    """Return a model's architecture, by the model itself where an installed one knows it.

    Training may have changed what was loaded: a head that was tied may have weights of its own.

    Args:
        model: The model.
        registry: Where architectures are looked for.
        loaded: What loaded it, for those that no one knows by sight.

    Raises:
        OptionError: If there is none.
    """
    names = []
    for offer in registry.offers(Architecture):
        kind = offer.component
        if issubclass(kind, Architecture):
            found = kind.of(model)
            if found is not None:
                return found
            names.append(kind.name)
    if loaded is not None:
        return loaded
    raise OptionError(
        f"the model is a {type(model).__name__}, which none of the installed architectures knows "
        f"({listing(names)}): expected architecture= beside it, or a model that was loaded by one",
        name="architecture",
    )


def find_quantizer(quantization: Quantization, registry: Registry) -> Quantizer:
    """Return a quantizer, the installed one of a name, or the one that a config asks for.

    Raises:
        OptionError: If there is none of this name, or for this config.
        PluginConflictError: If several take the config.
    """
    if isinstance(quantization, Quantizer):
        return quantization
    if isinstance(quantization, Mapping):
        return _configured(quantization, registry)
    if isinstance(quantization, QuantizationConfig):
        return _configured(quantization.to_dict(), registry)
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


def claimed_quantizer(config: Mapping[str, object], registry: Registry, path: object) -> Quantizer:
    """Return the quantizer that reads checkpoints of this `quantization_config`.

    Raises:
        CheckpointError: If none does; the message says which to install, if that is known.
        PluginConflictError: If several do.
    """
    found = _takers(registry, lambda kind: kind.claim(config), config)
    if len(found) > 1:
        names = listing(list(found))
        raise PluginConflictError(f"{path}: several quantizers claim its weights: {names}")
    if found:
        return next(iter(found.values()))
    method = str(config.get("quant_method", "a method that is not named"))
    raise CheckpointError(
        f"{path}: the weights are quantized with {method}, and {_reader(method, registry)}",
        path=str(path),
    )


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


def _configured(config: Mapping[str, object], registry: Registry) -> Quantizer:
    """Return the quantizer that another library's config asks for."""
    # A file's values: enumerations and types as texts.
    config = json.loads(json.dumps(dict(config), default=str))
    found = _takers(registry, lambda kind: kind.from_config(config), config)
    if len(found) > 1:
        names = listing(list(found))
        raise PluginConflictError(f"quantization: several quantizers take the config: {names}")
    if found:
        return next(iter(found.values()))
    method = str(config.get("quant_method", "a method that it does not name"))
    raise OptionError(
        f"quantization: the config is for {method}, and {_reader(method, registry)}",
        name="quantization",
        value=config,
        expected="a config that an installed quantizer takes",
    )


def _takers(
    registry: Registry,
    ask: Callable[[type[Quantizer]], Quantizer | None],
    config: Mapping[str, object],
) -> dict[str, Quantizer]:
    """Return what quantizers make of a config, by who offers them; whoever fails is named."""
    found = {}
    for offer in registry.offers(Quantizer):
        kind = offer.component
        if not issubclass(kind, Quantizer):
            continue
        with naming(kind, f"failed on {dict(config)}"):
            quantizer = ask(kind)
        if quantizer is not None:
            found[str(offer)] = quantizer
    return found


def _reader(method: str, registry: Registry) -> str:
    """Say who would read a method's weights."""
    hint = registry.remedy(method.replace("-", "_"))
    if not hint and method in _READERS:
        hint = f"it is in {_READERS[method]}: pip install {_READERS[method]}"
    others = sorted({offer.name for offer in registry.offers(Quantizer)})
    installed = f"none of the installed quantizers reads it ({listing(others) or 'there are none'})"
    return hint or installed


def _unfit(name: str, value: object, expected: str) -> OptionError:
    return OptionError(
        f"{name}={value!r}: expected {expected}", name=name, value=value, expected=expected
    )
