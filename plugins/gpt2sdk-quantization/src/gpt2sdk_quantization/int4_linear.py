"""Layers in 4 bits."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import QuantizedLinear
from gpt2sdk_quantization.int4_kernels import has_kernel, pack, pack_scales, product, unpack
from gpt2sdk_quantization.int4_numbers import dequantize, from_nibbles, to_nibbles


class Int4Linear(QuantizedLinear):
    """`x Wᵀ + b` with W in 4 bits.

    Packed, it multiplies in bfloat16, whatever the type of its input, by a kernel that reads the
    4 bits. As it is stored, it makes W floating-point for each product: slow, but exact. So it does
    where gradients for its input are wanted.

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
        return "int4 dequantized" if self.packed is None else "int4 bfloat16"

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        if torch.is_grad_enabled() and input.requires_grad:
            return functional.linear(input, self.dequantize().to(input.dtype), self.bias)
        x = input.reshape(-1, self.in_features)
        if self.packed is None or self.packed_scales is None or not len(x):
            kind = torch.float32 if x.device.type == "cpu" else x.dtype
            products = functional.linear(x.to(kind), self.dequantize().to(kind))
        else:
            products = product(x, self.packed, self.packed_scales, self._group_size)
            products = products[:, : self.out_features].to(torch.float32)
        if self.bias is not None:
            products = products.add_(self.bias)
        return products.to(input.dtype).view(*input.shape[:-1], self.out_features)

    @override
    def stored(self) -> Mapping[str, Tensor]:
        weight, scale, zero = self._plain()
        return {"": weight, ".scale": scale, ".zero": zero}

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        weight, scale, zero = self._plain()
        return dequantize(from_nibbles(weight), scale, zero)[:, : self.in_features]

    @override
    def pack(self) -> None:
        if self.weight is None or self.scale is None or self.zero is None:
            return
        right_types = self.scale.dtype == self.zero.dtype == torch.bfloat16
        if not (right_types and has_kernel(self.weight.device, self._group_size)):
            return
        with torch.inference_mode(mode=False), torch.no_grad():
            self.packed = pack(from_nibbles(self.weight))
            self.packed_scales = pack_scales(self.scale, self.zero)
        self.weight = self.scale = self.zero = None

    @override
    def unpack(self) -> None:
        self.weight, self.scale, self.zero = self._plain()
        self.packed = self.packed_scales = None

    def _plain(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.weight is not None and self.scale is not None and self.zero is not None:
            return self.weight, self.scale, self.zero
        if self.packed is None or self.packed_scales is None:
            raise RuntimeError("a 4-bit layer that holds no numbers")
        with torch.inference_mode(mode=False), torch.no_grad():
            numbers = unpack(self.packed, self.out_features, self._width, self._group_size)
            scales = self.packed_scales[:, : self.out_features]
            scale, zero = (scales[..., which].t().contiguous() for which in (0, 1))
            return to_nibbles(numbers), scale, zero

    @override
    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, group_size={self._group_size}"
