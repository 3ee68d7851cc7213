"""Adapters on the disk, in PEFT's format: `adapter_config.json` with `adapter_model.safetensors`.

PEFT names an adapter's matrices after the model's modules in transformers, such as
`base_model.model.transformer.h.0.attn.c_attn.lora_A.weight`, and keeps them `[rank, in]` and
`[out, rank]` whether the layer is a `Conv1D` or an `nn.Linear`: nothing has to be turned over.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from gpt2sdk import CheckpointError
from gpt2sdk_train.lora import LoRA

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PICKLE = "adapter_model.bin"
_PREFIX = "base_model.model.transformer."
_KEY = re.compile(r"(?:base_model\.model\.)?(?:transformer\.)?(.+)\.lora_([AB])(?:\.\w+)?\.weight")
_LAYER = re.compile(r"h\.\d+\.(.+)")
# What PEFT offers besides, with the values that leave it off.
_UNUSED: Mapping[str, tuple[object, ...]] = {
    "bias": ("none", None),
    "use_dora": (False, None),
    "modules_to_save": (None, []),
    "trainable_token_indices": (None,),
    "lora_bias": (False, None),
    "layer_replication": (None,),
}

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
        lora = _lora(config, f"transformer.{path}", pair["A"].shape[0])
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
        "base_model_name_or_path": None,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rank_stabilized,
        "target_modules": _targets(list(parts), layers),
        "fan_in_fan_out": True,
        "bias": "none",
        "inference_mode": True,
    }


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
    for name, off in _UNUSED.items():
        if config.get(name) not in off:
            raise CheckpointError(
                f"{file}: {name}={config[name]!r} is not offered, expected {off[0]!r}", path=file
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


def _lora(config: Mapping[str, object], path: str, rank: int) -> LoRA:
    """Read the sizes of one matrix's part; patterns of the config name exceptions."""
    alpha = _exception(config.get("alpha_pattern"), path, config.get("lora_alpha", rank))
    return LoRA(
        rank=rank,
        alpha=float(alpha) if isinstance(alpha, int | float) else float(rank),
        rank_stabilized=config.get("use_rslora") is True,
        targets=(path.removeprefix("transformer."),),
    )


def _exception(patterns: object, path: str, value: object) -> object:
    """Find a module's own value, as PEFT does: patterns are matched at the end of its name."""
    for pattern, own in patterns.items() if isinstance(patterns, dict) else ():
        if re.match(rf"(.*\.)?({pattern})$", path):
            return own
    return value
