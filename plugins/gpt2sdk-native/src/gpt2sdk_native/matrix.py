"""Matrices in the engine's own layout, the only form in which they are then held."""

from collections.abc import Sequence
from ctypes import c_void_p
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk_native.library import library

_FLOATS = {torch.float32: 0, torch.bfloat16: 1}
_INT8, _INT4 = 2, 3


@final
class NativeMatrix:
    """A matrix `[out, in]`, packed sixteen outputs side by side.

    Attributes:
        shape: Outputs and inputs.
        dtype: That of the rows that `read` returns.
    """

    def __init__(
        self, kind: int, rows: Tensor, inputs: int, group: int = 0, digits: int = 0
    ) -> None:
        self.shape = len(rows), inputs
        self.dtype = rows.dtype
        self._width = rows.shape[1]
        self._groups = 2 * self._width // group if group else 0
        self._calls = library()
        handle = self._calls.gpt2sdk_matrix_new(kind, len(rows), inputs, group, digits)
        if handle is None:
            raise MemoryError(f"no memory for a matrix of {len(rows)} x {inputs}")
        self.handle: int = handle
        whole = rows.detach().contiguous()
        self._calls.gpt2sdk_matrix_write(handle, 0, len(rows), whole.data_ptr())

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._calls.gpt2sdk_matrix_free(self.handle)

    @classmethod
    def floats(cls, weight: Tensor, bias: Tensor | None = None) -> Self:
        """Pack a matrix in float32 or bfloat16."""
        return cls(_FLOATS[weight.dtype], weight, weight.shape[1]).with_bias(bias)

    @classmethod
    def int8(
        cls,
        numbers: Tensor,
        scale: Tensor,
        bias: Tensor | None = None,
        mean: Tensor | None = None,
        *,
        activation_bits: int = 16,
    ) -> Self:
        """Pack whole numbers from −127 to 127 and each row's scale; of a table, its mean row."""
        matrix = cls(_INT8, numbers, numbers.shape[1], digits=activation_bits // 8)
        kept = [None if each is None else each.float().contiguous() for each in (scale, mean)]
        pointers = [None if each is None else each.data_ptr() for each in kept]
        if matrix._calls.gpt2sdk_matrix_scale(matrix.handle, *pointers):
            raise MemoryError("no memory for the mean of a table")
        return matrix.with_bias(bias)

    @classmethod
    def int4(
        cls, nibbles: Tensor, scale: Tensor, zero: Tensor, inputs: int, bias: Tensor | None = None
    ) -> Self:
        """Pack two numbers in a byte, with bfloat16 scales and zeros of groups."""
        group = 2 * nibbles.shape[1] // scale.shape[1]
        matrix = cls(_INT4, nibbles, inputs, group=group)
        scale, zero = scale.contiguous(), zero.contiguous()
        matrix._calls.gpt2sdk_matrix_groups(matrix.handle, scale.data_ptr(), zero.data_ptr())
        return matrix.with_bias(bias)

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        return int(self._calls.gpt2sdk_matrix_bytes(c_void_p(self.handle)))

    def read(self) -> Tensor:
        """Return the rows as they were given, bit for bit."""
        rows = torch.zeros(self.shape[0], self._width, dtype=self.dtype)
        self._calls.gpt2sdk_matrix_read(self.handle, 0, self.shape[0], rows.data_ptr())
        return rows

    def read_groups(self) -> tuple[Tensor, Tensor]:
        """Return the scales and zeros of an int4 matrix, as they were given."""
        found = torch.empty(2, self.shape[0], self._groups, dtype=torch.bfloat16)
        scale, zero = found[0], found[1]
        self._calls.gpt2sdk_matrix_read_groups(self.handle, scale.data_ptr(), zero.data_ptr())
        return scale.clone(), zero.clone()

    def rows(self, numbers: Sequence[int]) -> Tensor:
        """Return some rows as they were given."""
        found = torch.zeros(len(numbers), self._width, dtype=self.dtype)
        for place, row in enumerate(numbers):
            self._calls.gpt2sdk_matrix_read(self.handle, row, 1, found[place].data_ptr())
        return found

    def product(
        self, x: Float[Tensor, "rows in"], kernels: int, threads: int
    ) -> Float[Tensor, "rows out"]:
        """Return `x Wᵀ + b` in float32, each row with the bits that it has in an engine."""
        x = x.detach().float().contiguous()
        y = torch.empty(len(x), self.shape[0])
        failed = self._calls.gpt2sdk_product(
            kernels, self.handle, x.data_ptr(), len(x), y.data_ptr(), threads
        )
        if failed:
            raise MemoryError(f"no memory for {len(x)} rows")
        return y

    def with_bias(self, bias: Tensor | None) -> Self:
        """Let products add a bias; `None` for none."""
        if bias is not None:
            plain = bias.detach().float().contiguous()
            if self._calls.gpt2sdk_matrix_bias(self.handle, plain.data_ptr()):
                raise MemoryError("no memory for a bias")
        return self
