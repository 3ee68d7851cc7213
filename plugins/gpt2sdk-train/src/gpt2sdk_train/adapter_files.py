"""Adapters on the disk, in PEFT's format: `adapter_config.json` with `adapter_model.safetensors`.

PEFT names an adapter's matrices after the model's modules in transformers, such as
`base_model.model.transformer.h.0.attn.c_attn.lora_A.weight`, and keeps them `[rank, in]` and
`[out, rank]` whether the layer is a `Conv1D` or an `nn.Linear`: nothing has to be turned over.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from gpt2sdk import CheckpointError, OptionError
from gpt2sdk_train.lora import LoRA

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PICKLE = "adapter_model.bin"
_PREFIX = "base_model.model.transformer."
_KEY = re.compile(r"(?:base_model\.model\.)?(?:transformer\.)?(.+)\.lora_([AB])(?:\.\w+)?\.weight")
_LAYER = re.compile(r"h\.\d+\.(.+)")
# Read here, or of no matter for what an adapter computes.
_KNOWN = frozenset(
    {"r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern"}
    | {"peft_type", "task_type", "auto_mapping", "peft_version", "inference_mode"}
    | {"base_model_name_or_path", "revision", "fan_in_fan_out"}
    # The matrices say themselves where they belong.
    | {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"}
    | {"megatron_core", "qalora_group_size", "ensure_weight_tying"}
)
# Other ways of making the first values change the base model as well.
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal")
# What an option has that leaves it off: of PEFT's present ones, and of those to come.
_OFF: tuple[object, ...] = (None, False, {}, [], "", "none")
# PEFT's default.
_ALPHA = 8

Number = TypeVar("Number", int, float)

Part = tuple[LoRA, Tensor, Tensor]
"""What one matrix gets: sizes, D `[rank, in]` and U `[out, rank]`."""


def read_adapter(folder: str | Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Part]:
    """Read an adapter and check that it fits.

    Args:
        folder: Where it is.
        shapes: The inputs and outputs of the model's matrices, by module.

    Returns:
        What each matrix gets, by module.

    Raises:
        CheckpointError: If the files cannot be read, ask for more than LoRA on matrices, or do
            not fit the model.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG)
    tensors = _read_tensors(folder)
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or match[1] not in shapes:
            raise CheckpointError(
                f"{folder}: expected LoRA of this model's matrices, found {key}",
                path=folder,
                unexpected=[key],
            )
        pairs.setdefault(match[1], {})[match[2]] = tensor
    parts = {}
    for path, pair in pairs.items():
        _check_shapes(folder, path, pair, shapes[path])
        lora = _read_lora(folder / CONFIG, config, path, pair["A"].shape[0])
        parts[path] = (lora, pair["A"], pair["B"])
    if not parts:
        raise CheckpointError(f"{folder}: expected LoRA matrices, found none", path=folder)
    return parts


def write_adapter(parts: Mapping[str, Part], folder: str | Path, *, layers: int) -> None:
    """Write an adapter.

    Args:
        parts: What each matrix gets, by module.
        folder: Where to; made if need be, and other files in it are kept.
        layers: Blocks of the model: a matrix adapted in all of them is written down once.

    Raises:
        CheckpointError: If it cannot be written; older files are then intact.
    """
    folder = Path(folder)
    tensors = {}
    for path, (_, down, up) in parts.items():
        tensors[f"{_PREFIX}{path}.lora_A.weight"] = down.detach().cpu().contiguous()
        tensors[f"{_PREFIX}{path}.lora_B.weight"] = up.detach().cpu().contiguous()
    config = json.dumps(_config(parts, layers), indent=2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
        _replace(folder / CONFIG, f"{config}\n".encode())
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written: {error.strerror or error}", path=folder
        ) from error


def _config(parts: Mapping[str, Part], layers: int) -> dict[str, object]:
    lora = next(iter(parts.values()))[0]
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": lora.base_model,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "rank_pattern": _pattern({path: part[0].rank for path, part in parts.items()}, layers),
        "alpha_pattern": _pattern({path: part[0].alpha for path, part in parts.items()}, layers),
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rank_stabilized,
        "target_modules": _targets(list(parts), layers),
        "fan_in_fan_out": True,
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


def _read_config(file: Path) -> dict[str, object]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}", path=file) from error
    except ValueError as error:
        raise CheckpointError(f"{file}: expected JSON: {error}", path=file) from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise CheckpointError(f'{file}: expected an adapter with "peft_type": "LORA"', path=file)
    for name, value in config.items():
        off = name in _KNOWN or any(value == each for each in _OFF)
        if not (value in _PLAIN_STARTS if name == "init_lora_weights" else off):
            raise CheckpointError(
                f"{file}: {name}={value!r} is not offered: expected LoRA without it", path=file
            )
    return config


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    file = folder / WEIGHTS
    try:
        if file.is_file():
            return load_file(file)
        file = folder / _PICKLE
        tensors: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder}: expected {WEIGHTS} or {_PICKLE}, found neither", path=folder
        ) from error
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise CheckpointError(f"{file}: cannot be read: {reason}", path=file) from error
    return tensors


def _check_shapes(
    folder: Path, path: str, pair: Mapping[str, Tensor], shape: tuple[int, int]
) -> None:
    rank = len(pair["A"]) if "A" in pair else 0
    expected = {"A": (rank, shape[0]), "B": (shape[1], rank)}
    found = {name: tuple(tensor.shape) for name, tensor in sorted(pair.items())}
    if found != expected:
        raise CheckpointError(
            f"{folder}: {path}: expected the shapes {expected}, found {found}",
            path=folder,
            mismatched=[path],
        )


def _read_lora(file: Path, config: Mapping[str, object], path: str, rank: int) -> LoRA:
    """Read the sizes of one matrix's part; patterns of the config name exceptions."""
    usual = config.get("lora_alpha", _ALPHA)
    alpha = _exception(config.get("alpha_pattern"), f"transformer.{path}", usual)
    make: Callable[..., LoRA] = LoRA
    values = {
        "alpha": alpha,
        "dropout": config.get("lora_dropout", 0.0),
        "rank_stabilized": config.get("use_rslora") or False,
        "base_model": config.get("base_model_name_or_path"),
    }
    try:
        return make(rank=rank, targets=path, **values)
    except OptionError as error:
        raise CheckpointError(f"{file}: {error}", path=file) from error


def _exception(patterns: object, path: str, value: object) -> object:
    """Find a module's own value, as PEFT does: patterns are matched at the end of its name."""
    for pattern, own in patterns.items() if isinstance(patterns, dict) else ():
        if re.match(rf"(.*\.)?({pattern})$", path):
            return own
    return value
