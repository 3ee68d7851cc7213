"""The `quantization_config` of a checkpoint, as transformers' `BitsAndBytesConfig` writes it."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpt2sdk import CheckpointError, OptionError

THEIRS, OURS = "bitsandbytes", "gpt2sdk_bitsandbytes"
"""`quant_method`: the first one is transformers'. It knows no table in 8 bits, and would read one
as plain numbers, so that has a method of its own, which transformers refuses."""

VERSION = 1

HEAD = "lm_head"

# A pattern that begins with a block's name as it is here, without the "transformer." before it.
_SHORT = re.compile(r"h(?=\W|$)")
_LAYERS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


def written(
    settings: Mapping[str, object], *, embeddings: str, skipped: tuple[str, ...]
) -> dict[str, object]:
    """Return what stands in `config.json`: transformers' keys, and ours where it has none."""
    if embeddings == "none" and skipped:
        # Whoever names modules takes the head out of transformers' own list, which has it.
        skipped = (HEAD, *skipped)
    config = {
        "quant_method": THEIRS,
        "load_in_4bit": False,
        "load_in_8bit": False,
        "llm_int8_skip_modules": list(skipped) if skipped or embeddings == "head" else None,
        "llm_int8_threshold": 6.0,
        "llm_int8_has_fp16_weight": False,
        "llm_int8_enable_fp32_cpu_offload": False,
        **settings,
    }
    if embeddings != "int8":
        return config
    return {"quant_method": OURS, "version": VERSION, "embeddings": embeddings, "layers": config}


# What transformers' config may say that is not offered, and what to do instead.
_NOT_OFFERED = {
    "llm_int8_enable_fp32_cpu_offload": "blocks on the CPU are quantized, too: leave it out, and "
    "say where blocks go with placement=",
    "llm_int8_has_fp16_weight": "weights are held in 8 bits only: leave it out",
    "bnb_4bit_quant_storage": "numbers are stored as uint8: leave it out",
}
_TYPES = ("nf4", "fp4")
_NEUTRAL = (None, False, "uint8")
_KNOWN = (
    *("quant_method", "load_in_8bit", "load_in_4bit", "_load_in_8bit", "_load_in_4bit"),
    *("llm_int8_threshold", "llm_int8_skip_modules", *_NOT_OFFERED),
    *("bnb_4bit_compute_dtype", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant"),
    *("block_size", "compute_dtype"),
)


def check_asked(config: Mapping[str, object]) -> None:
    """Make sure that everything a user's config asks for is offered, if it is of bitsandbytes.

    Raises:
        OptionError: If not; it names what is not, and what to do instead.
    """
    asked = {key for key in config if key.startswith("load_in_")}
    if config.get("quant_method", THEIRS if asked else None) != THEIRS:
        return
    for key, instead in _NOT_OFFERED.items():
        value = config.get(key)
        if value not in _NEUTRAL:
            raise OptionError(
                f"quantization: {key}={value!r} is not offered: {instead}", name=key, value=value
            )
    if not any(config.get(f"load_in_{bits}bit") is True for bits in (4, 8)):
        raise OptionError(
            "quantization: the config asks for neither load_in_8bit=True nor load_in_4bit=True: "
            "say which",
            name="load_in_8bit",
        )
    for key in config:
        if key not in _KNOWN:
            near = difflib.get_close_matches(key, _KNOWN, n=1)
            hint = f"did you mean {near[0]}?" if near else "leave it out"
            message = f"quantization: {key} is no setting of bitsandbytes; {hint}"
            raise OptionError(message, name=key)
    if (kind := config.get("bnb_4bit_quant_type", "fp4")) not in _TYPES:
        raise OptionError(
            f"quantization: bnb_4bit_quant_type={kind!r}: expected one of {', '.join(_TYPES)}",
            name="bnb_4bit_quant_type",
            value=kind,
        )


def plain(config: Mapping[str, object]) -> dict[str, object]:
    """Return a config with types by the names that they have in a file.

    >>> plain({"bnb_4bit_compute_dtype": "torch.bfloat16"})
    {'bnb_4bit_compute_dtype': 'bfloat16'}
    """
    return {
        key: value.removeprefix("torch.") if isinstance(value, str) else value
        for key, value in config.items()
    }


@dataclass(frozen=True, slots=True)
class Read:
    """What a `quantization_config` says.

    Attributes:
        bits: 4 or 8.
        embeddings: What became of the table of tokens and of a head of its own; transformers leaves
            the table as it is, and the head, too, unless it has a list without it.
        layers: What became of the layers, in transformers' keys.
        skipped: The modules that were left as they are, besides.
    """

    bits: int
    embeddings: object
    layers: Mapping[str, object]
    skipped: tuple[object, ...]


def read(config: Mapping[str, object]) -> Read | None:
    """Return what a `quantization_config` says, or `None` if it is not of bitsandbytes.

    Raises:
        CheckpointError: If it is of bitsandbytes, but cannot be read.
    """
    layers, embeddings = config, None
    if config.get("quant_method") == OURS:
        version, inner = config.get("version"), config.get("layers")
        if version != VERSION or not isinstance(inner, Mapping):
            raise _unreadable(
                f"version {version!r}, expected {VERSION}", "upgrade gpt2sdk-bitsandbytes"
            )
        layers, embeddings = inner, config.get("embeddings")
    bits = _bits(layers)
    if bits is None:
        return None
    named = layers.get("llm_int8_skip_modules")
    skipped = tuple(named) if isinstance(named, list | tuple) else ()
    if embeddings is not None:
        return Read(bits, embeddings, layers, skipped)
    skipped = tuple(map(_guarded, skipped))
    if named is not None and not _names_head(skipped):
        return Read(bits, "head", layers, skipped)
    return Read(bits, "none", layers, tuple(each for each in skipped if each != HEAD))


def _bits(config: Mapping[str, object]) -> int | None:
    loads = {bits for bits in (4, 8) if config.get(f"load_in_{bits}bit") is True}
    if config.get("quant_method", THEIRS if loads else None) != THEIRS:
        return None
    if len(loads) != 1:
        raise _unreadable(
            "expected one of load_in_4bit and load_in_8bit to be true", "mend config.json"
        )
    if config.get("llm_int8_has_fp16_weight"):
        raise _unreadable("llm_int8_has_fp16_weight is true", "save it without")
    storage = config.get("bnb_4bit_quant_storage", "uint8")
    if storage != "uint8":
        raise _unreadable(
            f"bnb_4bit_quant_storage is {storage!r}, expected 'uint8'", "save it with uint8"
        )
    return loads.pop()


def full(pattern: str) -> str:
    """Return a pattern as transformers needs it, for which blocks are `transformer.h.0`.

    >>> full("h.0"), full("transformer.h.0"), full("c_proj")
    ('transformer.h.0', 'transformer.h.0', 'c_proj')
    """
    return f"transformer.{pattern}" if _SHORT.match(pattern) else pattern


def skips(pattern: str, module: str) -> bool:
    """Whether a pattern names a module, by transformers' rule and for its names.

    It does as the beginning of the name, up to a dot; as a regular expression for that; and as
    the end of the name. See `should_convert_module` in transformers' `quantizers_utils.py`.

    >>> skips("h.1", "h.1.attn"), skips("h.1", "h.11.attn"), skips("c_proj", "h.0.attn.c_proj")
    (True, False, True)
    """
    boundary = r"(?:(?<=\.)|(?=\.|$))"
    return bool(re.match(rf"(?:{pattern}){boundary}", module)) or module.endswith(pattern)


def _names_head(patterns: Iterable[object]) -> bool:
    """Whether one of them names the head.

    Raises:
        CheckpointError: If one is no regular expression.
    """
    try:
        return any(skips(str(each), HEAD) for each in patterns)
    except re.error as error:
        raise _unreadable(
            f"llm_int8_skip_modules should have names or regular expressions ({error})",
            "mend config.json",
        ) from error


def _guarded(pattern: object) -> object:
    """Keep a pattern of theirs that begins like ours from being read as ours.

    In transformers, `h.0` is no beginning of `transformer.h.0.attn.c_attn`, and so skips nothing.
    """
    if not isinstance(pattern, str) or not _SHORT.match(pattern) or pattern.endswith(_LAYERS):
        return pattern
    return f"(?:{pattern})"


def _unreadable(problem: str, remedy: str) -> CheckpointError:
    return CheckpointError(f"quantization_config of bitsandbytes: {problem}: {remedy}")
