"""A layer with a matrix in 4 bits."""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import QuantizedLinear
from gpt2sdk_bitsandbytes import library, packing
from gpt2sdk_bitsandbytes.scheme import Nested, Numbers, Scheme
from gpt2sdk_bitsandbytes.steady import Steady
from gpt2sdk_bitsandbytes.storing import store

# How far products with a packed matrix may be from those with the stored one, in parts of their
# norm: activations, statistics and products are in bfloat16.
_TOLERANCE = 0.02


def packs(
    shape: tuple[int, int],
    block_size: int,
    compute_dtype: torch.dtype | None,
    device: torch.device,
) -> bool:
    """Whether a matrix is packed on a device: where the kernel for CPUs can read it."""
    return (
        device.type == "cpu"
        and compute_dtype in (None, torch.bfloat16)
        and shape[0] % packing.ROWS == 0
        and shape[1] % block_size == 0
        and library.has_packed_kernel()
    )


@final
class FourBitLinear(Steady, QuantizedLinear):
    """`x Wᵀ + b` with W in 4 bits.

    Packed, the numbers are in another order, and the statistics are there once more in bfloat16,
    which is what the kernel reads; the stored ones stay, since they cannot be made of those.
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
        dtype: torch.dtype,
        compute_dtype: torch.dtype | None,
    ) -> None:
        """Hold a matrix.

        Args:
            numbers: It, on its device.
            scheme: How it was quantized.
            shape: Outputs and inputs.
            bias: Its bias, on the same device.
            dtype: The type in which the model computes.
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
        like = torch.empty(0, dtype=dtype, device=numbers.halves.device)
        self.register_buffer("like", like, persistent=False)

    @property
    @override
    def kernel(self) -> str:
        if self.packed is not None:
            return f"{self.scheme.kind} avx512"
        how = "dequantized" if self.absmax.device.type == "cpu" else "gemm"
        return f"{self.scheme.kind} {how}"

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        x = input.reshape(-1, self.in_features)
        places = (*input.shape[:-1], self.out_features)
        if not len(x):
            return input.new_empty(places)
        if torch.is_grad_enabled() and input.requires_grad:
            result = self._by_dequantizing(x, x.dtype)
        elif self.packed is not None:
            result = self._packed_products(x)
        elif x.device.type == "cpu":
            # Matrices in float32 are fastest: on CPUs that are good at bfloat16, it is packed.
            result = self._by_dequantizing(x, self.compute_dtype or torch.float32)
        else:
            result = self.fused_products(x, self.compute_dtype or x.dtype)
        return result.to(input.dtype).view(places)

    @override
    def stored(self) -> Mapping[str, Tensor]:
        return store(self._numbers(), self.scheme, (self.out_features, self.in_features))

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        with torch.no_grad():
            return self._dequantized(torch.float32)

    @override
    def pack(self) -> None:
        shape = self.out_features, self.in_features
        if self.halves is None or not packs(
            shape, self.scheme.block_size, self.compute_dtype, self.halves.device
        ):
            return
        with torch.inference_mode(mode=False), torch.no_grad():
            scales = library.scales(self._numbers()).view(self.out_features, -1)
            self.packed = packing.pack(self.halves.view(self.out_features, -1))
            self.packed_scales = scales.T.to(torch.bfloat16).contiguous()
            if self._agrees():
                self.halves = None
            else:
                self.packed = self.packed_scales = None

    @override
    def unpack(self) -> None:
        if self.packed is not None:
            with torch.inference_mode(mode=False), torch.no_grad():
                self.halves = packing.unpack(self.packed).view(-1)
            self.packed = self.packed_scales = None

    def fused_products(
        self, x: Float[Tensor, "rows in"], dtype: torch.dtype
    ) -> Float[Tensor, "rows out"]:
        """Return the products as GPUs compute them, which read the stored form."""
        bias = None if self.bias is None else self.bias.to(dtype)
        shape = self.out_features, self.in_features
        return library.products(x.to(dtype), self._numbers(), self.scheme, shape, bias)

    def _numbers(self) -> Numbers:
        halves = self.halves
        if halves is None:
            assert self.packed is not None  # noqa: S101 - it is either packed or not
            halves = packing.unpack(self.packed).view(-1)
        nested = None
        if self.nested_absmax is not None:
            assert self.nested_quant_map is not None  # noqa: S101 - it comes with it
            assert self.nested_offset is not None  # noqa: S101 - it comes with it
            nested = Nested(self.nested_absmax, self.nested_quant_map, self.nested_offset)
        return Numbers(halves, self.absmax, self.quant_map, nested, self._dtype)

    def _dequantized(self, dtype: torch.dtype) -> Tensor:
        shape = self.out_features, self.in_features
        return library.dequantize(self._numbers(), self.scheme, shape, dtype)

    def _by_dequantizing(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        bias = None if self.bias is None else self.bias.to(dtype)
        return functional.linear(x.to(dtype), self._dequantized(dtype), bias)

    def _packed_products(self, x: Tensor) -> Tensor:
        assert self.packed is not None  # noqa: S101 - as the caller found
        assert self.packed_scales is not None  # noqa: S101 - it comes with it
        result = library.packed_products(x, self.packed, self.packed_scales, self.scheme)
        return result if self.bias is None else result + self.bias

    def _agrees(self) -> bool:
        """Compare products with the packed and the stored matrix, the same on every machine."""
        steps = torch.arange(2 * self.in_features, dtype=torch.float64)
        x = torch.sin(0.7 * steps).view(2, -1).float()
        expected = functional.linear(x, self._dequantized(torch.float32))
        bias = 0 if self.bias is None else self.bias
        error = (self._packed_products(x) - bias - expected).norm()
        return bool(error <= _TOLERANCE * expected.norm())
