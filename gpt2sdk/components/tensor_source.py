"""Where a checkpoint's tensors come from, in whatever format they are."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What is known of a tensor before it is read.

    Attributes:
        shape: As it lies in the file; of what is only expected, −1 stands for any length.
        dtype: Its type's torch name, such as "float32".
    """

    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Return a tensor's shape and type.

        >>> TensorInfo.of(torch.zeros(2, 3))
        TensorInfo(shape=(2, 3), dtype='float32')
        """
        return cls(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    def admits(self, found: "TensorInfo") -> bool:
        """Whether a tensor that was found is what this one says.

        >>> TensorInfo((-1,), "uint8").admits(TensorInfo((5,), "uint8"))
        True
        """
        return (
            self.dtype == found.dtype
            and len(self.shape) == len(found.shape)
            and all(
                length in (-1, other) for length, other in zip(self.shape, found.shape, strict=True)
            )
        )


class TensorSource(ABC):
    """Named tensors that can be looked at without being read, and read in parts."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """The folder or file the tensors come from, for messages."""

    @property
    @abstractmethod
    def infos(self) -> Mapping[str, TensorInfo]:
        """Every tensor's name, shape and type; nothing of its contents is read for this."""

    def nbytes(self, name: str) -> int:
        """Return how many bytes a tensor has in the file: those of its type, by default."""
        info = self.infos[name]
        dtype = getattr(torch, info.dtype, None)
        return math.prod(info.shape) * (dtype.itemsize if isinstance(dtype, torch.dtype) else 0)

    @abstractmethod
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        """Yield a tensor in consecutive pieces along `dim`, on the CPU, in the file's type.

        A piece may be a view of the file, good until the next one is asked for: copy what is kept.

        Raises:
            CheckpointError: If the file cannot be read.
        """

    def read(self, name: str) -> Tensor:
        """Return a whole tensor, on the CPU, in the file's type; it may be mapped from the file.

        Raises:
            CheckpointError: If the file cannot be read.
        """
        slabs = [slab.clone() for slab in self.slabs(name)]
        return slabs[0] if len(slabs) == 1 else torch.cat(slabs)
