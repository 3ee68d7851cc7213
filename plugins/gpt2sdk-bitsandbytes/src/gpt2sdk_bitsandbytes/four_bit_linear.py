"""A layer with a matrix in 4 bits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import QuantizedLinear
from gpt2sdk_bitsandbytes import four_bit_products, library, packing
from gpt2sdk_bitsandbytes.scheme import Nested, Numbers, Scheme
from gpt2sdk_bitsandbytes.storing import store


def packs(
    shape: tuple[int, int],
    scheme: Scheme,
    compute_dtype: torch.dtype | None,
    device: torch.device,
) -> bool:
    """Whether a matrix is packed on a device: where the kernel for CPUs can read it."""
    return (
        device.type == "cpu"
        and compute_dtype in (None, torch.bfloat16)
        and shape[0] % packing.ROWS == 0
        and shape[1] % scheme.block_size == 0
        and four_bit_products.has_right_kernel(replace(scheme, double=False))
    )


@final
class FourBitLinear(QuantizedLinear):
    """`x Wᵀ + b` with W in 4 bits.

    Packed, the numbers are in another order, and the statistics are there once more in bfloat16,
    which is what the kernel reads; the stored ones stay, since they cannot be made of those. As it
    is stored, some rows after the other are packed for each product, which is the same bit for bit,
    or made floating-point where there is no kernel.
    """

    halves: Tensor | None
    absmax: Tensor
    quant_map: Tensor
    nested_absmax: Tensor | None
    nested_quant_map: Tensor | None
    nested_offset: Tensor | None
    packed: Tensor | None
    packed_scales: Tensor | None

    def __init__(
        self,
        numbers: Numbers,
        scheme: Scheme,
        shape: tuple[int, int],
        bias: Tensor | None,
        *,
        compute_dtype: torch.dtype | None,
    ) -> None:
        """Hold a matrix.

        Args:
            numbers: It, on its device.
            scheme: How it was quantized.
            shape: Outputs and inputs.
            bias: Its bias, on the same device.
            compute_dtype: The type of products; `None` for what suits the device.
        """
        super().__init__()
        self.out_features, self.in_features = shape
        self.scheme = scheme
        self.compute_dtype = compute_dtype
        self._dtype = numbers.dtype
        nested = numbers.nested
        buffers = {
            "bias": bias,
            "halves": numbers.halves,
            "absmax": numbers.absmax,
            "quant_map": numbers.quant_map,
            "nested_absmax": None if nested is None else nested.absmax,
            "nested_quant_map": None if nested is None else nested.quant_map,
            "nested_offset": None if nested is None else nested.offset,
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)
        for name in ("packed", "packed_scales"):
            self.register_buffer(name, None, persistent=False)

    @property
    @override
    def kernel(self) -> str:
        if self.packed is not None:
            return f"{self.scheme.kind} avx512"
        if self._packs():
            return f"{self.scheme.kind} packed each time"
        how = "dequantized" if self.absmax.device.type == "cpu" else "gemm"
        return f"{self.scheme.kind} {how}"

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        x = input.reshape(-1, self.in_features)
        places = (*input.shape[:-1], self.out_features)
        if not len(x):
            return input.new_empty(places)
        if torch.is_grad_enabled() and input.requires_grad:
            result = self._with_bias(functional.linear(x, self.dequantize().to(x.dtype)))
        elif x.device.type == "cpu":
            result = self._with_bias(self._products_on_cpu(x))
        else:
            result = self.fused_products(x, self.compute_dtype or x.dtype)
        return result.to(input.dtype).view(places)

    @override
    def stored(self) -> Mapping[str, Tensor]:
        return store(self._numbers(), self.scheme, (self.out_features, self.in_features))

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        with torch.no_grad():
            return library.dequantize(self._numbers(), self.scheme, self._shape, torch.float32)

    @override
    def pack(self) -> None:
        with self.exchanging, torch.inference_mode(mode=False), torch.no_grad():
            if self.packed is None and self._packs():
                numbers = self._numbers()
                packed, scales = four_bit_products.pack(numbers, self.scheme, self._shape)
                self.packed, self.packed_scales, self.halves = packed, scales, None

    @override
    def unpack(self) -> None:
        with self.exchanging:
            self.halves = self._numbers().halves
            self.packed = self.packed_scales = None

    def fused_products(
        self, x: Float[Tensor, "rows in"], dtype: torch.dtype
    ) -> Float[Tensor, "rows out"]:
        """Return the products as GPUs compute them, which read the stored form."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return library.products(x.to(dtype), self._numbers(), self.scheme, self._shape, bias)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.out_features, self.in_features

    def _packs(self) -> bool:
        return packs(self._shape, self.scheme, self.compute_dtype, self.absmax.device)

    def _with_bias(self, products: Tensor) -> Tensor:
        return products if self.bias is None else products + self.bias

    def _packed(self) -> tuple[Tensor, Tensor] | None:
        """Return the packed form, if that is held."""
        with self.exchanging:
            if self.packed is None or self.packed_scales is None:
                return None
            return self.packed, self.packed_scales

    def _numbers(self) -> Numbers:
        with self.exchanging:
            halves, packed = self.halves, self.packed
        if halves is None:
            assert packed is not None  # noqa: S101 - it is either packed or not
            with torch.inference_mode(mode=False), torch.no_grad():
                halves = four_bit_products.unpack(packed)
        nested = None
        if self.nested_absmax is not None:
            assert self.nested_quant_map is not None  # noqa: S101 - it comes with it
            assert self.nested_offset is not None  # noqa: S101 - it comes with it
            nested = Nested(self.nested_absmax, self.nested_quant_map, self.nested_offset)
        return Numbers(halves, self.absmax, self.quant_map, nested, self._dtype)

    def _products_on_cpu(self, x: Tensor) -> Tensor:
        packed = self._packed()
        if packed is not None:
            return library.packed_products(x, *packed, self.scheme)
        numbers, shape = self._numbers(), self._shape
        if self._packs():
            return four_bit_products.products_as_packed(x, numbers, self.scheme, shape)
        # Matrices in float32 are fastest: on CPUs that are good at bfloat16, it is packed.
        kind = self.compute_dtype or torch.float32
        return four_bit_products.expanded_products(x, numbers, self.scheme, shape, kind)
