"""What the keys of a checkpoint stand for, whoever wrapped, prefixed or extended the model."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpt2sdk.components.tensor_source import TensorSource
from gpt2sdk.errors import CheckpointError, listing

EMBEDDING = "wte.weight"
HEAD = "lm_head.weight"

ANCHOR = "wpe.weight"
"""A parameter that every GPT-2 has, and that nobody quantizes."""

_HEAD_NAMES = ("lm_head.weight", "lm_head.decoder.weight")
_OLD_NAMES = {"gamma": "weight", "beta": "bias"}

# Modules that stand around another one and leave its name in the middle of a key: PyTorch's
# activation checkpointing, FSDP, `torch.compile` and data parallelism; Lightning's strategies,
# fairscale; PEFT's layers.
_WRAPPERS = frozenset(
    {
        "_checkpoint_wrapped_module",
        "_fsdp_wrapped_module",
        "_orig_mod",
        "module",
        "_forward_module",
        "_fpw_module",
        "base_layer",
    }
)
# Heads beside the language model's: transformers' for classes, spans and choices, and those of
# reinforcement learning (trl, trlX, TextRL).
_OTHER_HEADS = frozenset(
    {
        "classifier",
        "ilql_heads",
        "multiple_choice_head",
        "qa_outputs",
        "reward_head",
        "score",
        "v_head",
        "value_head",
    }
)
# Causal masks that old versions saved as buffers.
_MASK = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Keys:
    """A checkpoint's keys, sorted by what they are.

    Attributes:
        prefix: What stands before every name of the trunk, wrappers aside.
        names: The key of each parameter, by its name here; a foreign key by itself.
        repeated: Further keys of one name.
        masks: Keys of buffers that are no weights.
        heads: Keys of heads beside the language model's.
    """

    prefix: str
    names: Mapping[str, str]
    repeated: Mapping[str, tuple[str, ...]]
    masks: tuple[str, ...]
    heads: tuple[str, ...]


def sort_keys(source: TensorSource) -> Keys:
    """Find out what each key of a checkpoint stands for.

    Raises:
        CheckpointError: If there is more than one GPT-2.
    """
    prefix = _prefix(source)
    names: dict[str, str] = {}
    repeated: dict[str, tuple[str, ...]] = {}
    masks, heads = [], []
    for key in source.infos:
        plain = unwrapped(key)
        name = own_name(plain, prefix)
        if _MASK.fullmatch(name):
            masks.append(key)
        elif _is_other_head(plain, prefix):
            heads.append(key)
        elif name in names:
            repeated[name] = (*repeated.get(name, ()), key)
        else:
            names[name] = key
    return Keys(prefix, names, repeated, tuple(masks), tuple(heads))


def unwrapped(key: str) -> str:
    """Leave out the names of modules that only stand around another one.

    >>> unwrapped("module.transformer.h.0._checkpoint_wrapped_module.attn.c_attn.base_layer.bias")
    'transformer.h.0.attn.c_attn.bias'
    """
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def own_name(key: str, prefix: str) -> str:
    """Strip the prefix and undo old spellings; a foreign key stays as it is.

    >>> own_name("policy.transformer.h.0.ln_1.gamma", "policy.transformer.")
    'h.0.ln_1.weight'
    """
    for head in _HEAD_NAMES:
        # The head stands beside the trunk: "policy.lm_head" with "policy.transformer.wpe".
        if f".{key}".endswith(f".{head}") and prefix.startswith(key.removesuffix(head)):
            return HEAD
    name = key.removeprefix(prefix)
    module, _, kind = name.rpartition(".")
    if module.rpartition(".")[2].startswith("ln_"):
        return f"{module}.{_OLD_NAMES.get(kind, kind)}"
    return name


def foreign_hints(keys: Iterable[str]) -> Iterable[str]:
    """Say what keys without a place point to, where programs leave them."""
    parts = {part for key in keys for part in key.split(".")}
    if "crossattention" in parts:
        yield "the model has cross-attention, which is not offered"
    if any(part.startswith("lora_") for part in parts):
        yield (
            "the weights hold an adapter beside the model's own: merge it with PEFT's "
            "merge_and_unload before saving"
        )
    if "_flat_param" in parts:
        yield "the weights are flattened by FSDP: save them with FULL_STATE_DICT"


def _prefix(source: TensorSource) -> str:
    """Find what stands before every name: "", "transformer.", "policy.transformer." or another."""
    plain = map(unwrapped, source.infos)
    found = {key.removesuffix(ANCHOR) for key in plain if f".{key}".endswith(f".{ANCHOR}")}
    prefixes = sorted(found)
    if len(prefixes) > 1:
        raise CheckpointError(
            f"{source.path}: expected one GPT-2, found several: under {listing(prefixes)}",
            path=source.path,
        )
    return prefixes[0] if prefixes else ""


def _is_other_head(key: str, prefix: str) -> bool:
    """Whether a key belongs to another head: it stands at the trunk, or beside a parent of it."""
    parts = key.split(".")
    return any(
        part in _OTHER_HEADS and prefix.startswith("".join(f"{each}." for each in parts[:place]))
        for place, part in enumerate(parts[:-1])
    )
