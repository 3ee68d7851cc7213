"""Layers and tables in 8 bits."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import QuantizedLinear, QuantizedTable
from gpt2sdk_quantization.digits import Bits, digits, joined, top
from gpt2sdk_quantization.int8_kernels import (
    blocked,
    blocked_base,
    blocked_product,
    plain,
    product,
    product_base,
)
from gpt2sdk_quantization.int8_numbers import dequantize

# Without a kernel, so many numbers of a matrix are made floating-point at a time.
PIECE = 2**20


class Int8Linear(QuantizedLinear):
    """`x Wᵀ + b` with W in 8 bits.

    Where gradients for its input are wanted, W is made floating-point.

    Attributes:
        weight: Whole numbers; `None` while packed.
        packed: The same in oneDNN's layout; `None` unless packed.
        scale: What each row of `weight` is to be multiplied by.
        bias: b, or `None`.
        activation_bits: Bits of the activations' whole numbers.
    """

    weight: Tensor | None
    packed: Tensor | None
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None, bits: Bits) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.activation_bits: Bits = bits
        self.register_buffer("weight", weight)
        self.register_buffer("packed", None, persistent=False)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    @property
    @override
    def kernel(self) -> str:
        if self.packed is not None:
            return "int8 onednn"
        return "int8 plain" if product_base(self.scale.device) else "int8 dequantized"

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        if torch.is_grad_enabled() and input.requires_grad:
            bias = None if self.bias is None else self.bias.to(input.dtype)
            return functional.linear(input, self.dequantize().to(input.dtype), bias)
        x = input.reshape(-1, self.in_features).float()
        if not len(x):
            return input.new_zeros(*input.shape[:-1], self.out_features)
        matrix, packed = self._held()
        scale, bias, bits = self.scale, self.bias, self.activation_bits
        if not packed:
            products = scaled_products(x, matrix, scale, bits, bias)
        else:
            base = blocked_base()
            found, largest = digits(x, bits, base)
            sums = joined(blocked_product(found, matrix, scale, base), bits, base)
            products = _rescaled(sums, largest, bits, base, bias)
        return products.to(input.dtype).view(*input.shape[:-1], self.out_features)

    @override
    def stored(self) -> Mapping[str, Tensor]:
        return {"": self._plain(), ".scale": self.scale}

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        return dequantize(self._plain(), self.scale)

    @override
    def pack(self) -> None:
        with self.exchanging, torch.inference_mode(mode=False), torch.no_grad():
            matrix, packed = self._held()
            found = None if packed else blocked(matrix)
            if found is not None:
                self.weight, self.packed = None, found

    @override
    def unpack(self) -> None:
        with self.exchanging:
            self.weight, self.packed = self._plain(), None

    def _held(self) -> tuple[Tensor, bool]:
        """Return the matrix in the form it has, and whether that is the packed one."""
        with self.exchanging:
            if self.weight is not None:
                return self.weight, False
            if self.packed is not None:
                return self.packed, True
        raise RuntimeError("an 8-bit layer that holds no numbers")

    def _plain(self) -> Tensor:
        matrix, packed = self._held()
        if not packed:
            return matrix
        with torch.inference_mode(mode=False), torch.no_grad():
            return plain(matrix)

    @override
    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, activation_bits={self.activation_bits}"


class Int8Table(QuantizedTable):
    """A table of vectors in 8 bits, one form of which serves lookups and logits.

    The logits of GPT-2 have a common offset of −30 to −100, and its vectors have something in
    common. So a mean μ is taken out before quantizing: rows are finer then. A vector is
    `q·s + μ`, a logit `s·(x·q) + x·μ`.

    Attributes:
        weight: Whole numbers.
        scale: What each row of `weight` is to be multiplied by.
        mean: μ.
        like: An empty tensor in the type of the vectors.
        activation_bits: Bits of the activations' whole numbers.
    """

    weight: Tensor
    scale: Tensor
    mean: Tensor
    like: Tensor

    def __init__(
        self, weight: Tensor, scale: Tensor, mean: Tensor, bits: Bits, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.activation_bits: Bits = bits
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("mean", mean)
        like = torch.empty(0, dtype=dtype, device=weight.device)
        self.register_buffer("like", like, persistent=False)

    @property
    @override
    def kernel(self) -> str:
        return "int8 plain" if product_base(self.scale.device) else "int8 dequantized"

    @override
    def forward(self, tokens: Int[Tensor, "*places"]) -> Float[Tensor, "*places embed"]:
        vectors = dequantize(self.weight[tokens], self.scale[tokens], self.mean)
        return vectors.to(self.like.dtype)

    @override
    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        if torch.is_grad_enabled() and x.requires_grad:
            return functional.linear(x.float(), self.dequantize())
        flat = x.reshape(-1, x.shape[-1]).float()
        logits = scaled_products(flat, self.weight, self.scale, self.activation_bits)
        # Multiplied and summed row by row, which is the same beside any other rows.
        logits.add_(torch.mul(flat, self.mean).sum(dim=-1, keepdim=True))
        return logits.view(*x.shape[:-1], len(self.weight))

    @override
    def stored(self) -> Mapping[str, Tensor]:
        return {"": self.weight, ".scale": self.scale, ".mean": self.mean}

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        return dequantize(self.weight, self.scale, self.mean)

    @override
    def pack(self) -> None:
        """Stay as it is: one form is looked up and multiplied."""

    @override
    def unpack(self) -> None:
        """Stay as it is."""


def scaled_products(
    x: Float[Tensor, "rows in"],
    weight: Tensor,
    scale: Float[Tensor, " out"],
    bits: Bits,
    bias: Float[Tensor, " out"] | None = None,
) -> Float[Tensor, "rows out"]:
    """Return products with a plain matrix; with a kernel, those with a packed one bit for bit."""
    if not len(x):
        return x.new_zeros(0, len(weight))
    base = product_base(weight.device)
    if base:
        found, largest = digits(x, bits, base)
        # As oneDNN does it, sums are scaled before digits are put together.
        sums = joined(product(found, weight, base).mul_(scale), bits, base)
        return _rescaled(sums, largest, bits, base, bias)
    rows = max(1, PIECE // weight.shape[1])
    pieces = zip(torch.split(weight, rows), torch.split(scale, rows), strict=True)
    products = torch.cat([functional.linear(x, dequantize(*piece)) for piece in pieces], dim=1)
    return products if bias is None else products.add_(bias)


def _rescaled(sums: Tensor, largest: Tensor, bits: Bits, base: int, bias: Tensor | None) -> Tensor:
    """Multiply sums by what their rows were divided by, and add the bias."""
    offset = sums.new_zeros(()) if bias is None else bias.float()
    return torch.addcmul(offset, sums, largest, value=1 / top(bits, base))
