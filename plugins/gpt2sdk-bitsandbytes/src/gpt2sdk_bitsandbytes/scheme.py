"""How numbers become 4 bits, and what is then held of a matrix."""

from collections.abc import Iterable, Mapping
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


def block_sizes(infos: Mapping[str, TensorInfo], offered: Iterable[int]) -> set[int]:
    """Return the block sizes that all matrices in 4 bits of a checkpoint may have.

    There are several where matrices are small, and all that are offered where there is no matrix.

    >>> numbers, statistics = TensorInfo((4096, 1), "uint8"), TensorInfo((64,), "float32")
    >>> block_sizes({"c_fc.weight": numbers, "c_fc.weight.absmax": statistics}, (64, 128, 256))
    {128}
    """
    found = set(offered)
    for key, statistics in infos.items():
        numbers = infos.get(key.removesuffix(".absmax"))
        if not key.endswith(".absmax") or numbers is None or numbers.dtype != "uint8":
            continue
        # The last half byte may be unused.
        counts, blocks = (2 * numbers.shape[0], 2 * numbers.shape[0] - 1), statistics.shape[0]
        found = {size for size in found if any(-(-count // size) == blocks for count in counts)}
    return found


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
