"""Who reads what: formats, architectures and quantizers are asked what is theirs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.weights import CheckpointFormat, FormatWords, TranslatedFile
from gpt2sdk.config_files import CONFIG_FILE, ConfigFiles
from gpt2sdk.errors import CheckpointError, OptionError, PluginConflictError, listing
from gpt2sdk.loading.failures import naming
from gpt2sdk.mention import argument
from gpt2sdk.plugins.registry import Offer, Registry

# Who reads what other programs write, for those who lack the plugin.
_MODELS = "transformers"
_READERS = {"bitsandbytes": "gpt2sdk-bitsandbytes"}


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
    absent = "model_type" in config.values and _MODELS not in {kind.name for kind in kinds}
    hint = f" (those of transformers: pip install gpt2sdk-{_MODELS})" if absent else ""
    raise CheckpointError(
        f"{config.path}: {_said(config)}, and no installed architecture claims it: {installed}; "
        f"expected one of these, or a plugin with its architecture{hint}: see "
        f"{argument('plugins')}",
        path=config.path,
    )


def _said(config: ConfigFiles) -> str:
    """Say by what an architecture would have known a config.

    >>> _said(ConfigFiles({}, Path("ckpt.pt"), model_args={"dim": 8, "n_heads": 2}))
    'has model_args that name dim, n_heads, and no config.json beside it'
    """
    if config.model_args is not None:
        names = listing([str(name) for name in config.model_args]) or "nothing"
        return f"has model_args that name {names}, and no {CONFIG_FILE} beside it"
    kind = config.values.get("model_type")
    return "has no model_type" if kind is None else f"says model_type={kind!r}"


def translated(words: FormatWords, registry: Registry) -> TranslatedFile:
    """Let the architecture that knows a file's words say what they mean.

    Raises:
        CheckpointError: If none does; the message names the architecture, or says what is
            installed.
        PluginConflictError: If several do.
    """
    found: dict[str, TranslatedFile] = {}
    for offer in registry.offers(Architecture):
        kind = offer.component
        if issubclass(kind, Architecture):
            with naming(kind, f"failed on {words.path}"):
                translation = kind.translate(words)
            if translation is not None:
                found[str(offer)] = translation
    if len(found) > 1:
        names = listing(list(found))
        raise PluginConflictError(f"{words.path}: several architectures translate it: {names}")
    if found:
        return next(iter(found.values()))
    config = ConfigFiles({"model_type": words.model_type}, words.path)
    kinds = [offer.component for offer in registry.offers(Architecture)]
    silent = [
        kind.name
        for kind in kinds
        if issubclass(kind, Architecture) and words.model_type in kind.model_types
    ]
    name = silent[0] if silent else claimed_architecture(config, registry).name
    raise CheckpointError(
        f"{words.path}: is a {words.model_type}, and the architecture {name} does not say what "
        f"{words.format} files call its sizes and tensors: expected a folder in the Hugging Face "
        "layout",
        path=words.path,
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
    found = known_architecture(model, registry) or loaded
    if found is not None:
        return found
    names = listing([offer.name for offer in registry.offers(Architecture)])
    raise OptionError(
        f"the model is a {type(model).__name__}, which none of the installed architectures knows "
        f"({names}): expected architecture= beside it, or a model that was loaded by one",
        name="architecture",
    )


def known_architecture(model: CausalLM, registry: Registry) -> Architecture | None:
    """Return the architecture of a model that an installed one knows by sight."""
    for offer in registry.offers(Architecture):
        kind = offer.component
        found = kind.of(model) if issubclass(kind, Architecture) else None
        if found is not None:
            return found
    return None


def claimed_quantizer(config: Mapping[str, object], registry: Registry, path: object) -> Quantizer:
    """Return the quantizer that reads checkpoints of this `quantization_config`.

    Raises:
        CheckpointError: If none does; the message says which to install, if that is known.
        PluginConflictError: If several do.
    """
    found = _taker(
        registry,
        lambda kind: kind.claim(config),
        config,
        f"{path}: several quantizers claim its weights",
    )
    if found is not None:
        return found
    message = (
        f"{path}: the weights are quantized with {_unread(config, registry)}; or take the model "
        f"that they were made of, and {argument('quantization', 'int8')}"
    )
    raise CheckpointError(message, path=str(path))


def configured_quantizer(config: Mapping[str, object], registry: Registry) -> Quantizer:
    """Return the quantizer that another library's config asks for.

    Raises:
        OptionError: If none does; the message says which to install, if that is known.
        PluginConflictError: If several do.
    """
    # A file's values: enumerations and types as texts.
    config = json.loads(json.dumps(dict(config), default=str))
    found = _taker(
        registry,
        lambda kind: kind.from_config(config),
        config,
        "quantization: several quantizers take the config",
    )
    if found is not None:
        return found
    raise OptionError(
        f"quantization: the config is for {_unread(config, registry)}",
        name="quantization",
        value=config,
        expected="a config that an installed quantizer takes",
    )


def _taker(
    registry: Registry,
    ask: Callable[[type[Quantizer]], Quantizer | None],
    config: Mapping[str, object],
    several: str,
) -> Quantizer | None:
    """Return what the one quantizer that takes a config makes of it; whoever fails is named."""
    found: dict[str, Quantizer] = {}
    for offer in registry.offers(Quantizer):
        kind = offer.component
        if not issubclass(kind, Quantizer):
            continue
        with naming(kind, f"failed on {dict(config)}"):
            quantizer = ask(kind)
        if quantizer is not None:
            found[str(offer)] = quantizer
    if len(found) > 1:
        raise PluginConflictError(f"{several}: {listing(list(found))}")
    return next(iter(found.values()), None)


def _unread(config: Mapping[str, object], registry: Registry) -> str:
    """Say what nobody here reads, and who would."""
    method = str(config.get("quant_method", "a method that is not named"))
    hint = registry.remedy(method.replace("-", "_"))
    if not hint and method in _READERS:
        hint = f"it is in {_READERS[method]}: pip install {_READERS[method]}"
    others = sorted({offer.name for offer in registry.offers(Quantizer)})
    installed = f"none of the installed quantizers reads it ({listing(others) or 'there are none'})"
    return f"{method}, and {hint or installed}"
