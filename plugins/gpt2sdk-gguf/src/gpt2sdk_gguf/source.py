"""The tensors of a GGUF file, expanded slab by slab."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import final

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from torch import Tensor
from typing_extensions import override

from gpt2sdk import CheckpointError, TensorInfo, TensorSource
from gpt2sdk_gguf.contents import Stored

_SLAB_NUMBERS = 2**21
"""About how many numbers are expanded at once."""

_PLAIN = {
    GGMLQuantizationType.F64: ("float64", np.float64),
    GGMLQuantizationType.F32: ("float32", np.float32),
    GGMLQuantizationType.F16: ("float16", np.float16),
    GGMLQuantizationType.BF16: ("bfloat16", np.int16),
}
"""Types that are passed on as they are, and as what numpy reads them."""


@final
class GgufSource(TensorSource):
    """Tensors of a GGUF file: those in few bits as float32, others in their own type.

    Args:
        path: The file.
        tensors: Where each tensor lies, by the name it has here.

    Raises:
        CheckpointError: If a tensor has a type that the package `gguf` cannot expand.
    """

    def __init__(self, path: Path, tensors: Mapping[str, Stored]) -> None:
        self._path = path
        self._tensors = dict(tensors)
        for name, tensor in self._tensors.items():
            _refuse_unknown(path, name, tensor)
        self._infos = MappingProxyType(
            {
                name: TensorInfo(tensor.shape, _PLAIN.get(tensor.kind, ("float32",))[0])
                for name, tensor in self._tensors.items()
            }
        )

    @property
    @override
    def path(self) -> Path:
        return self._path

    @property
    @override
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @override
    def nbytes(self, name: str) -> int:
        tensor = self._tensors[name]
        size, nbytes = GGML_QUANT_SIZES[tensor.kind]
        return math.prod(tensor.shape) // size * nbytes

    @override
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        tensor = self._tensors[name]
        blocks = self._blocks(tensor)
        size = _block_size(tensor)
        # Cut where blocks end: along rows, that is at multiples of their size.
        across = dim == len(tensor.shape) - 1
        unit = size if across else 1
        length = tensor.shape[dim] // unit
        line = max(1, int(np.prod(tensor.shape)) // max(length, 1))
        step = max(1, _SLAB_NUMBERS // line)
        for start in range(0, length, step):
            end = min(start + step, length)
            piece = blocks[(slice(None),) * dim + (slice(start, end),)]
            shape = list(tensor.shape)
            shape[dim] = (end - start) * unit
            yield _expanded(np.array(piece), tensor.kind).reshape(shape)

    def _blocks(self, tensor: Stored) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
        """Map a tensor: as numbers, or as blocks of bytes along the last axis."""
        # Mapped anew for each tensor: pages that were read leave the process again.
        plain = _PLAIN.get(tensor.kind)
        try:
            if plain:
                return np.memmap(
                    self._path, plain[1], mode="r", offset=tensor.offset, shape=tensor.shape
                )
            size, nbytes = GGML_QUANT_SIZES[tensor.kind]
            shape = (*tensor.shape[:-1], tensor.shape[-1] // size, nbytes)
            return np.memmap(self._path, np.uint8, mode="r", offset=tensor.offset, shape=shape)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self._path}: cannot be read: {error}: was it changed while it was open?",
                path=self._path,
            ) from error


def _block_size(tensor: Stored) -> int:
    """How many numbers are stored together; 1 for plain ones."""
    return 1 if tensor.kind in _PLAIN else GGML_QUANT_SIZES[tensor.kind][0]


def _expanded(
    piece: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", kind: GGMLQuantizationType
) -> Tensor:
    if kind in _PLAIN:
        numbers = torch.from_numpy(piece)
        return numbers.view(torch.bfloat16) if kind == GGMLQuantizationType.BF16 else numbers
    # As one long row: shorter ones would be expanded a few at a time.
    return torch.from_numpy(dequantize(piece.reshape(1, -1), kind))


def _refuse_unknown(path: Path, name: str, tensor: Stored) -> None:
    if tensor.kind in _PLAIN:
        return
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[tensor.kind][1]), np.uint8), tensor.kind)
    except NotImplementedError as error:
        raise CheckpointError(
            f"{path}: {name} is of type {tensor.kind.name}, which the package gguf cannot expand: "
            "convert the file to a usual type such as Q8_0",
            path=path,
        ) from error
