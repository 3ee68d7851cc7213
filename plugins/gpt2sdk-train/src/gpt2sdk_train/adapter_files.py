"""Adapters on the disk, in PEFT's format: `adapter_config.json` with `adapter_model.safetensors`.

PEFT names tensors after the model's modules in transformers, such as
`base_model.model.transformer.h.0.attn.c_attn.lora_A.weight`. Thin matrices are `[rank, in]` and
`[out, rank]` whether the layer is a `Conv1D` or an `nn.Linear`; what replaces a module's own
matrix lies as that does.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from safetensors.torch import save
from torch import Tensor

from gpt2sdk import CheckpointError, open_tensors
from gpt2sdk_train.adapter_config import CONFIG, AdapterConfig
from gpt2sdk_train.lora import LoRA
from gpt2sdk_train.module_layout import ModuleLayout

WEIGHTS = "adapter_model.safetensors"
ROWS = "token_adapter.trainable_tokens_delta"
"""What PEFT calls new vectors of some tokens, behind the table's name."""

_PICKLE = "adapter_model.bin"
_OUTER = "base_model.model."
# What is left without what PEFT puts in between: the adapter's name, and modules of its own.
_NAMES = re.compile(
    r"(.+\.lora_[AB])(?:\.\w+)?(\.weight|\.bias)"
    r"|(.+\.(?:lora_embedding_[AB]|lora_magnitude_vector|trainable_tokens_delta))\..+"
    r"|(.+)\.(?:base_layer|modules_to_save(?:\.\w+)?)(\.weight|\.bias)"
)
_LAYER = re.compile(r"(?:.*?\.)?\d+\.(.+)")

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """What an adapter's folder holds.

    Attributes:
        folder: Where it is.
        config: Its config.
        tensors: Its tensors, as `module.suffix`: `h.0.attn.c_attn.lora_A.weight`, `wte.weight`.
        keys: Their names in the file.
        trunk: What PEFT puts before the names of all modules but the head.
        head: The head's name.
    """

    folder: Path
    config: AdapterConfig
    tensors: Mapping[str, Tensor]
    keys: Mapping[str, str]
    trunk: str
    head: str

    def name_of(self, path: str) -> str:
        """Return PEFT's name of a module."""
        return path if path == self.head else f"{self.trunk}{path}"

    def without_tensors(self) -> "AdapterFiles":
        """Return the rest, which is little."""
        return replace(self, tensors={})


def read_files(folder: str | Path, layout: ModuleLayout) -> AdapterFiles:
    """Read an adapter's folder.

    Args:
        folder: Where it is.
        layout: Of the model that it is for.

    Raises:
        CheckpointError: If a file is missing, is no adapter's or cannot be read, or the config
            asks for what is not offered.
    """
    folder = Path(folder)
    _check_folder(folder)
    config = AdapterConfig.read(folder / CONFIG)
    file = next((folder / each for each in (WEIGHTS, _PICKLE) if (folder / each).is_file()), None)
    if file is None:
        raise CheckpointError(
            f"{folder}: expected {WEIGHTS} or {_PICKLE}, found neither", path=folder
        )
    source = open_tensors(file)
    inner = {key: key.removeprefix(_OUTER) for key in source.infos}
    usual = layout.trunk
    trunk = usual if any(name.startswith(usual) for name in inner.values()) else ""
    keys: dict[str, str] = {}
    for key, name in inner.items():
        own = _own_name(name.removeprefix(trunk))
        if own in keys:
            raise CheckpointError(
                f"{file}: {keys[own]} and {key} are the same tensor, expected one: it holds "
                "several adapters",
                path=file,
                unexpected=[key],
            )
        keys[own] = key
    tensors = {own: source.read(key) for own, key in keys.items()}
    if all(name.startswith(layout.head) for name in keys):
        # An adapter of the head alone shows nothing of the others' names.
        trunk = usual
    return AdapterFiles(folder, config, tensors, keys, trunk, layout.head)


def _own_name(name: str) -> str:
    """Strip what PEFT puts between a module's name and its tensors'.

    >>> _own_name("wte.lora_embedding_A.default"), _own_name("h.0.mlp.c_fc.base_layer.bias")
    ('wte.lora_embedding_A', 'h.0.mlp.c_fc.bias')
    """
    match = _NAMES.fullmatch(name)
    return "".join(group for group in match.groups() if group) if match else name


def _check_folder(folder: Path) -> None:
    """Make sure that there is an adapter's config, or say what else is there."""
    if (folder / CONFIG).is_file():
        return
    if folder.is_file():
        found = f"a file: give the folder that it is in, which has the {CONFIG} beside it"
    elif not folder.is_dir():
        found = "no such folder"
    elif inside := _adapters_inside(folder):
        found = f"none, but adapters in it: give one of {', '.join(map(str, inside))}"
    elif (folder / "config.json").is_file():
        found = "a model: give the adapter's folder, and this as the model"
    else:
        found = "none"
    raise CheckpointError(f"{folder}: expected an adapter's {CONFIG}, found {found}", path=folder)


def _adapters_inside(folder: Path) -> list[Path]:
    """Return the folders of adapters one or two levels down, as PEFT and trainers make them."""
    try:
        files = [file for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{CONFIG}")]
    except OSError:
        return []
    return sorted(file.parent for file in files)[:8]


def write_files(
    tensors: Mapping[str, Mapping[str, Tensor]],
    config: Mapping[str, object],
    folder: str | Path,
    layout: ModuleLayout,
    trunk: str,
) -> None:
    """Write an adapter.

    Args:
        tensors: What each module gets, by what follows the module's name.
        config: What PEFT is told about it.
        folder: Where to; made if need be, and other files in it are kept.
        layout: Of the model that it is for.
        trunk: What PEFT puts before the names of all modules but the head.

    Raises:
        CheckpointError: If it cannot be written; older files are then intact.
    """
    folder = Path(folder)
    named = {}
    for path, own in tensors.items():
        # PEFT has a matrix one level down where there is LoRA beside it.
        inside = "base_layer." if any(suffix.startswith("lora_") for suffix in own) else ""
        prefix = f"{_OUTER}{'' if path == layout.head else trunk}{path}."
        for suffix, tensor in own.items():
            level = inside if suffix in ("weight", "bias") else ""
            named[f"{prefix}{level}{suffix}"] = tensor.detach().cpu().contiguous()
    text = json.dumps(config, indent=2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS, save(named, metadata={"format": "pt"}))
        _replace(folder / CONFIG, f"{text}\n".encode())
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written: {error.strerror or error}", path=folder
        ) from error


def make_config(parts: Mapping[str, LoRA], layout: ModuleLayout) -> dict[str, object]:
    """Return the config of an adapter that was made here.

    Args:
        parts: The sizes in each matrix, by module.
        layout: Of the model: a matrix adapted in all of its blocks is written down once.
    """
    lora, layers = next(iter(parts.values())), layout.layers
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": lora.base_model,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "rank_pattern": _pattern({path: part.rank for path, part in parts.items()}, layers),
        "alpha_pattern": _pattern({path: part.alpha for path, part in parts.items()}, layers),
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rank_stabilized,
        "use_dora": lora.dora,
        "target_modules": _targets(list(parts), layers),
        "fan_in_fan_out": not layout.foreign,
        "bias": "none",
        "inference_mode": True,
    }


def _pattern(values: Mapping[str, Number], layers: int) -> dict[str, Number]:
    """Name the exceptions: modules whose value is not that of the first.

    >>> _pattern({"h.0.mlp.c_fc": 8, "h.0.attn.c_attn": 2, "h.1.attn.c_attn": 2}, layers=2)
    {'attn.c_attn': 2}
    """
    usual = next(iter(values.values()))
    found: dict[str, Number] = {}
    for other in dict.fromkeys(values.values()):
        if other != usual:
            paths = [path for path, value in values.items() if value == other]
            found |= dict.fromkeys(_targets(paths, layers), other)
    return found


def _targets(paths: list[str], layers: int) -> list[str]:
    """Name what is adapted in every block once, and the rest one by one.

    >>> _targets(["h.0.attn.c_attn", "h.1.attn.c_attn", "h.1.mlp.c_fc"], layers=2)
    ['attn.c_attn', 'h.1.mlp.c_fc']
    """
    ends = [match[1] if (match := _LAYER.fullmatch(path)) else path for path in paths]
    names = [
        end if ends.count(end) == layers else path for end, path in zip(ends, paths, strict=True)
    ]
    return list(dict.fromkeys(names))


def _replace(file: Path, content: bytes) -> None:
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
