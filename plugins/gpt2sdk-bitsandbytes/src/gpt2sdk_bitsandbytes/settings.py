"""The `quantization_config` of a checkpoint, as transformers' `BitsAndBytesConfig` writes it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gpt2sdk import CheckpointError

THEIRS, OURS = "bitsandbytes", "gpt2sdk_bitsandbytes"
"""`quant_method`: the first one is transformers'. It knows no table in 8 bits, and would read one
as plain numbers, so that has a method of its own, which transformers refuses."""

VERSION = 1


def written(
    settings: Mapping[str, object], *, embeddings: str, skipped: tuple[str, ...]
) -> dict[str, object]:
    """Return what stands in `config.json`: transformers' keys, and ours where it has none."""
    config = {
        "quant_method": THEIRS,
        "load_in_4bit": False,
        "load_in_8bit": False,
        "llm_int8_skip_modules": list(skipped) or None,
        "llm_int8_threshold": 6.0,
        "llm_int8_has_fp16_weight": False,
        "llm_int8_enable_fp32_cpu_offload": False,
        **settings,
    }
    if embeddings == "none":
        return config
    return {"quant_method": OURS, "version": VERSION, "embeddings": embeddings, "layers": config}


@dataclass(frozen=True, slots=True)
class Read:
    """What a `quantization_config` says.

    Attributes:
        bits: 4 or 8.
        embeddings: What became of the table of tokens; transformers leaves it as it is.
        layers: What became of the layers, in transformers' keys.
    """

    bits: int
    embeddings: object
    layers: Mapping[str, object]


def read(config: Mapping[str, object]) -> Read | None:
    """Return what a `quantization_config` says, or `None` if it is not of bitsandbytes.

    Raises:
        CheckpointError: If it is of bitsandbytes, but cannot be read.
    """
    layers, embeddings = config, config.get("embeddings", "none")
    if config.get("quant_method") == OURS:
        version, inner = config.get("version"), config.get("layers")
        if version != VERSION or not isinstance(inner, Mapping):
            raise _unreadable(
                f"version {version!r}, expected {VERSION}", "upgrade gpt2sdk-bitsandbytes"
            )
        layers = inner
    bits = _bits(layers)
    return None if bits is None else Read(bits, embeddings, layers)


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


def skipped(config: Mapping[str, object]) -> tuple[object, ...]:
    """Return the modules that were left as they are, besides the head."""
    found = config.get("llm_int8_skip_modules")
    return tuple(found) if isinstance(found, list | tuple) else ()


def skips(pattern: str, module: str) -> bool:
    """Whether a pattern names a module, by transformers' rule.

    It does as the beginning of the name, up to a dot; as a regular expression for that; and as
    the end of the name.

    >>> skips("h.1", "h.1.attn"), skips("h.1", "h.11.attn"), skips("c_proj", "h.0.attn.c_proj")
    (True, False, True)
    """
    boundary = r"(?:(?<=\.)|(?=\.|$))"
    return bool(re.match(rf"(?:{pattern}){boundary}", module)) or module.endswith(pattern)


def _unreadable(problem: str, remedy: str) -> CheckpointError:
    return CheckpointError(f"quantization_config of bitsandbytes: {problem}: {remedy}")
