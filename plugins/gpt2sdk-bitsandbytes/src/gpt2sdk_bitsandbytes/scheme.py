"""How numbers become 4 bits, and what is then held of a matrix."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gpt2sdk import Matrix, TensorInfo

Kind = Literal["nf4", "fp4"]

STATISTICS_BLOCK = 256
"""How many statistics share one, where they are quantized themselves."""

_ANY_LENGTH = -1


@dataclass(frozen=True, slots=True)
class Scheme:
    """How numbers become 4 bits.

    Attributes:
        kind: The 16 values.
        block_size: How many neighbours share a statistic.
        double: Whether the statistics are quantized, too: to 8 bits.
    """

    kind: Kind
    block_size: int
    double: bool

    def bytes_of_numbers(self, matrix: Matrix) -> int:
        """How many bytes a matrix takes without statistics: two numbers in each."""
        return -(-matrix.shape[0] * matrix.shape[1] // 2)

    def blocks(self, matrix: Matrix) -> int:
        """How many blocks a matrix has; the last one may be shorter."""
        return -(-matrix.shape[0] * matrix.shape[1] // self.block_size)

    def tensors(self, matrix: Matrix) -> dict[str, TensorInfo]:
        """Return the tensors a checkpoint has of a matrix, but for its state."""
        blocks = self.blocks(matrix)
        infos = {
            "": TensorInfo((self.bytes_of_numbers(matrix), 1), "uint8"),
            ".absmax": TensorInfo((blocks,), "uint8" if self.double else "float32"),
            ".quant_map": TensorInfo((16,), "float32"),
        }
        if self.double:
            groups = -(-blocks // STATISTICS_BLOCK)
            infos[".nested_absmax"] = TensorInfo((groups,), "float32")
            infos[".nested_quant_map"] = TensorInfo((256,), "float32")
        return infos

    def stored(self, matrix: Matrix) -> dict[str, TensorInfo]:
        """Return what a checkpoint has of a matrix."""
        return self.tensors(matrix) | {self.state_name: TensorInfo((_ANY_LENGTH,), "uint8")}

    @property
    def state_name(self) -> str:
        """What is appended to a parameter's name for its state, a JSON text."""
        return f".quant_state.bitsandbytes__{self.kind}"


@dataclass(frozen=True, slots=True)
class Nested:
    """What belongs to statistics in 8 bits.

    Attributes:
        absmax: What blocks of them are to be multiplied by.
        quant_map: The 256 values.
        offset: Their mean.
    """

    absmax: Tensor
    quant_map: Tensor
    offset: Tensor


@dataclass(frozen=True, slots=True)
class Numbers:
    """A matrix in 4 bits, as it is stored.

    Attributes:
        halves: Two numbers a byte.
        absmax: The largest magnitude of each block: itself, or its number in 8 bits.
        quant_map: The 16 values.
        nested: What belongs to statistics in 8 bits; `None` for plain ones.
        dtype: The type of the weights that were quantized.
    """

    halves: Tensor
    absmax: Tensor
    quant_map: Tensor
    nested: Nested | None
    dtype: torch.dtype

    def to(self, device: torch.device) -> "Numbers":
        """Return it on a device."""
        nested = self.nested and Nested(
            self.nested.absmax.to(device),
            self.nested.quant_map.to(device),
            self.nested.offset.to(device),
        )
        return Numbers(
            self.halves.to(device),
            self.absmax.to(device),
            self.quant_map.to(device),
            nested,
            self.dtype,
        )
