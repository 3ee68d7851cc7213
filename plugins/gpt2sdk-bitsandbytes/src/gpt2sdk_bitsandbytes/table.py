"""The table of tokens, or a head of its own, in 8 bits: one scale for each token."""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import Matrix, Quantized, QuantizedLinear, QuantizedTable, TensorInfo, check_finite
from gpt2sdk_bitsandbytes import library, rows
from gpt2sdk_bitsandbytes.taking import take


def stored(matrix: Matrix) -> dict[str, TensorInfo]:
    """Return what a checkpoint has of a table or head."""
    return {
        "": TensorInfo(matrix.shape, "int8"),
        ".absmax": TensorInfo(matrix.shape[:1], "float32"),
    }


class Int8Rows(Quantized):
    """A matrix in 8 bits, the largest magnitude of each row beside it."""

    numbers: Tensor
    largest: Tensor
    like: Tensor

    def __init__(self, numbers: Tensor, largest: Tensor, dtype: torch.dtype) -> None:
        """Hold a matrix.

        Args:
            numbers: It, on its device.
            largest: The largest magnitude of each row.
            dtype: The type in which the model computes.
        """
        super().__init__()
        self.register_buffer("bias", None)
        self.register_buffer("numbers", numbers)
        self.register_buffer("largest", largest)
        like = torch.empty(0, dtype=dtype, device=numbers.device)
        self.register_buffer("like", like, persistent=False)

    @property
    @override
    def kernel(self) -> str:
        fast = library.multiplies_integers(self.numbers.device)
        return "int8 twice" if fast else "int8 dequantized"

    @override
    def stored(self) -> Mapping[str, Tensor]:
        return {"": self.numbers, ".absmax": self.largest}

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        return rows.dequantize(self.numbers, self.largest)

    @override
    def pack(self) -> None:
        """Nothing is gained: the stored form is the fastest."""

    @override
    def unpack(self) -> None:
        """It is never packed."""

    def products(self, x: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        """Return the products with all rows, in float32."""
        flat = x.reshape(-1, x.shape[-1]).float()
        if not len(flat):
            result = flat.new_empty(0, len(self.numbers))
        elif torch.is_grad_enabled() and x.requires_grad:
            result = functional.linear(flat, self.dequantize())
        else:
            result = rows.products(flat, self.numbers, self.largest)
        return result.view(*x.shape[:-1], len(self.numbers))


@final
class BnbInt8Table(Int8Rows, QuantizedTable):
    """A table in 8 bits: looked up and, where tied, read as the head, from one storage."""

    @override
    def forward(self, tokens: Int[Tensor, "*places"]) -> Float[Tensor, "*places embed"]:
        return rows.dequantize(self.numbers[tokens], self.largest[tokens]).to(self.like.dtype)

    @override
    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        return self.products(x)


@final
class Int8Head(Int8Rows, QuantizedLinear):
    """A head of its own in 8 bits."""

    def __init__(
        self, numbers: Tensor, largest: Tensor, dtype: torch.dtype, bias: Tensor | None = None
    ) -> None:
        """Hold a matrix, and a bias if there is one."""
        super().__init__(numbers, largest, dtype)
        self.out_features, self.in_features = numbers.shape
        self.bias = bias

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        result = self.products(input)
        if self.bias is not None:
            result = result + self.bias
        return result.to(input.dtype)


def restore(matrix: Matrix, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Read what a checkpoint holds.

    Raises:
        CheckpointError: If something is missing, of another shape or type, or not finite.
    """
    found = take(matrix, stored(matrix), tensors)
    check_finite(matrix, "scales", found[".absmax"])
    return found[""], found[".absmax"]
