"""Layers in 4 bits."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import QuantizedLinear
from gpt2sdk_quantization.int4_kernels import (
    has_kernel,
    pack_nibbles,
    pack_scales,
    plain_product,
    product,
    unpack_nibbles,
)
from gpt2sdk_quantization.int4_numbers import dequantize, from_nibbles


class Plain(NamedTuple):
    """A matrix as it is stored: two numbers in each byte, and scales and zeros of groups."""

    weight: Tensor
    scale: Tensor
    zero: Tensor


class Packed(NamedTuple):
    """A matrix as a kernel reads it."""

    numbers: Tensor
    scales: Tensor


class Int4Linear(QuantizedLinear):
    """`x Wᵀ + b` with W in 4 bits.

    It multiplies in bfloat16, whatever the type of its input, by a kernel that reads the 4 bits. As
    it is stored, it packs some rows after the other for each product: slow, but the products are
    the same bit for bit. Where there is no kernel, W is made floating-point: some rows at a time,
    or all of it where gradients for its input are wanted.

    Attributes:
        weight: Two numbers in each byte; `None` while packed.
        scale: Of each group of each row; `None` while packed.
        zero: What the number 8 stands for, of each group; `None` while packed.
        packed: The numbers in the kernel's layout; `None` unless packed.
        packed_scales: Scales and zeros as the kernel wants them; `None` unless packed.
        bias: b, or `None`.
    """

    weight: Tensor | None
    scale: Tensor | None
    zero: Tensor | None
    packed: Tensor | None
    packed_scales: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        scale: Tensor,
        zero: Tensor,
        bias: Tensor | None,
        in_features: int,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, len(weight)
        self._width = 2 * weight.shape[1]
        self._group_size = self._width // scale.shape[1]
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("zero", zero)
        self.register_buffer("packed", None, persistent=False)
        self.register_buffer("packed_scales", None, persistent=False)
        self.register_buffer("bias", bias)

    @property
    @override
    def kernel(self) -> str:
        if isinstance(self._held(), Packed):
            return "int4 bfloat16"
        return "int4 packed each time" if self._has_kernel() else "int4 dequantized"

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        if torch.is_grad_enabled() and input.requires_grad:
            bias = None if self.bias is None else self.bias.to(input.dtype)
            return functional.linear(input, self.dequantize().to(input.dtype), bias)
        x = input.reshape(-1, self.in_features)
        if not len(x):
            return input.new_empty(*input.shape[:-1], self.out_features)
        held = self._held()
        if isinstance(held, Packed):
            products = product(x, *held, self._group_size)[:, : self.out_features].float()
        else:
            products = plain_product(x, *held)
        if self.bias is not None:
            products = products.add_(self.bias)
        return products.to(input.dtype).view(*input.shape[:-1], self.out_features)

    @override
    def stored(self) -> Mapping[str, Tensor]:
        plain = self._plain()
        return {"": plain.weight, ".scale": plain.scale, ".zero": plain.zero}

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        weight, scale, zero = self._plain()
        return dequantize(from_nibbles(weight), scale, zero)[:, : self.in_features]

    @override
    def pack(self) -> None:
        with self.exchanging, torch.inference_mode(mode=False), torch.no_grad():
            held = self._held()
            if isinstance(held, Plain) and self._has_kernel():
                self.packed = pack_nibbles(held.weight)
                self.packed_scales = pack_scales(held.scale, held.zero)
                self.weight = self.scale = self.zero = None

    @override
    def unpack(self) -> None:
        with self.exchanging:
            self.weight, self.scale, self.zero = self._plain()
            self.packed = self.packed_scales = None

    def _held(self) -> Plain | Packed:
        with self.exchanging:
            if self.packed is not None and self.packed_scales is not None:
                return Packed(self.packed, self.packed_scales)
            if self.weight is not None and self.scale is not None and self.zero is not None:
                return Plain(self.weight, self.scale, self.zero)
        raise RuntimeError("a 4-bit layer that holds no numbers")

    def _plain(self) -> Plain:
        held = self._held()
        if isinstance(held, Plain):
            return held
        with torch.inference_mode(mode=False), torch.no_grad():
            shape = self.out_features, self._width
            weight = unpack_nibbles(held.numbers, *shape, self._group_size)
            scales = held.scales[:, : self.out_features]
            scale, zero = (scales[..., which].t().contiguous() for which in (0, 1))
            return Plain(weight, scale, zero)

    def _has_kernel(self) -> bool:
        return has_kernel(self._held()[0].device, self._group_size)

    @override
    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, group_size={self._group_size}"
