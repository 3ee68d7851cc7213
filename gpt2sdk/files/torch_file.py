"""The tensors of a file written by `torch.save`, read without running any code."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gpt2sdk.errors import CheckpointError, listing
from gpt2sdk.files.damage import unreadable

# Where trainers keep the model's tensors beside their own state: Lightning (`state_dict`),
# DeepSpeed (`module`), nanoGPT (`model`) and the habits of PyTorch's tutorials.
_HOLDERS = ("state_dict", "model_state_dict", "model_state", "model", "module")


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What a file holds.

    Attributes:
        tensors: By name.
        model_args: The sizes that nanoGPT writes beside them; `None` if there are none.
    """

    tensors: Mapping[str, Tensor]
    model_args: Mapping[str, object] | None


def read_torch_file(file: Path) -> TorchFile:
    """Map a file's tensors into memory; what was written before torch 1.6 (2020) is read whole.

    Raises:
        CheckpointError: If it is damaged, or holds anything but tensors.
    """
    try:
        content = _load(file)
    except Exception as error:
        # A damaged pickle may raise almost anything.
        raise unreadable(file, error) from error
    state = _innermost(content)
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{file}: expected named tensors, found a {type(state).__name__}", path=file
        )
    others = [str(name) for name, value in state.items() if not _has_numbers(value)]
    if others:
        raise CheckpointError(
            f"{file}: expected tensors only, found other values under {listing(others)}", path=file
        )
    tensors = {str(name): tensor for name, tensor in state.items()}
    args = content.get("model_args") if isinstance(content, dict) else None
    return TorchFile(tensors, args if isinstance(args, dict) else None)


def _has_numbers(value: object) -> bool:
    """Whether something is a tensor to be read row by row: neither sparse nor a mere shape."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta


def _load(file: Path) -> object:
    if file.suffix == ".safetensors":
        # Torch goes by the name of a path; this file was found to be in torch's format.
        with file.open("rb") as opened:
            return torch.load(opened, map_location="cpu", weights_only=True)
    return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))


def _innermost(state: object) -> object:
    """Go down to the model's tensors, through whatever holds them."""
    while isinstance(state, dict):
        inner = next((state[name] for name in _HOLDERS if isinstance(state.get(name), dict)), None)
        if inner is None:
            break
        state = inner
    return state
