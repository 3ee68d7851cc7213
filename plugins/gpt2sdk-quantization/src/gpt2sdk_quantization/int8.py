"""Weights in 8 bits, one scale for each row."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Self

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Matrix,
    QuantizedMatrix,
    Quantizer,
    Target,
    TensorInfo,
    check_finite,
    check_stored,
)
from gpt2sdk_quantization.checkpoints import claimed, written
from gpt2sdk_quantization.devices import check_present
from gpt2sdk_quantization.digits import Bits
from gpt2sdk_quantization.int8_kernels import blocked_base, may_block, product_base
from gpt2sdk_quantization.int8_modules import PIECE, Int8Linear, Int8Table
from gpt2sdk_quantization.int8_numbers import MEAN_ROWS, quantize_slabs

# Of a slab, about a MiB in float32 is worked on at a time, with a few copies of it.
_WORKSPACE = 4 * 2**20


class Int8(Quantizer):
    """Holds matrices and the table of tokens in 8 bits: a quarter of float32.

    Weights are `q·s` with a scale s for each output, about 0.8 % off for normal weights.
    Activations become whole numbers too, on a scale of each row's own: of 16 bits, which adds no
    error to speak of and costs little, or of 8, faster from about 8 rows on, where a row's
    outliers take precision from the rest of it. CPUs without VNNI have 14 and 7 instead. Sums are
    exact in 32-bit integers, so that rows are bit-equal beside any other rows. The table's mean
    row is taken out before quantizing.

    References: Dettmers, Lewis, Belkada and Zettlemoyer (2022), LLM.int8(), arXiv:2208.07339; Yao
    et al. (2022), ZeroQuant, arXiv:2206.01861, which has the scale per token. We differ from both
    in the 16 bits, two digits of 8, instead of outliers multiplied apart.

    Attributes:
        activation_bits: 8 or 16.
    """

    ladder: ClassVar[int | None] = 10

    activation_bits: Annotated[
        Bits, Field(description="Bits of the activations' whole numbers: 8 is faster, 16 exact.")
    ] = 16

    @override
    def probe(self, device: torch.device) -> str:
        check_present(device)
        base = product_base(device)
        # Digits of base 128 have a bit less.
        digits = self.activation_bits // 8
        bits = f"activations in {digits * (8 if base == 256 else 7)} bits"
        if not base:
            return "int8 weights made float32 piece by piece for each product: slow, at any rows"
        if device.type == "cpu" and blocked_base():
            return (
                f"int8, {bits}: oneDNN's packed kernel at any number of rows for sizes that are "
                "multiples of 64; the plain matrix for others and the head, as a vector product "
                "at 1 row"
            )
        return f"int8, {bits}: torch's integer product of the plain matrix at any number of rows"

    @override
    def plan(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix | None:
        outputs, inputs = matrix.shape
        stored = {"": TensorInfo(matrix.shape, "int8"), ".scale": TensorInfo((outputs,), "float32")}
        nbytes, workspace = outputs * inputs + 4 * outputs, _WORKSPACE
        if matrix.use == "table":
            stored[".mean"] = TensorInfo((inputs,), "float32")
            nbytes += 4 * inputs
            workspace += 8 * inputs * min(MEAN_ROWS, outputs)
        # Without a kernel, float32 for some rows; a GPU's kernel wants multiples of 8.
        count = outputs * inputs
        padded = count if device.type == "cuda" and inputs % 8 else 0
        packs = matrix.use != "table" and may_block(matrix.shape, device)
        return QuantizedMatrix(
            "int8 per row",
            nbytes,
            stored,
            workspace,
            # oneDNN's layout becomes a matrix, and that one is transposed.
            packing_workspace=2 * count if packs else 0,
            passing_workspace=max(padded, 4 * min(count, max(PIECE, inputs))),
        )

    @override
    def linear(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows in"]],
        bias: Tensor | None,
        target: Target,
    ) -> Int8Linear:
        numbers, scale, _ = quantize_slabs(slabs, matrix.shape, target.device, centred=False)
        check_finite(matrix, "weights", scale)
        return Int8Linear(numbers, scale, bias, self.activation_bits)

    @override
    def table(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows embed"]],
        target: Target,
    ) -> Int8Table:
        numbers, scale, mean = quantize_slabs(slabs, matrix.shape, target.device, centred=True)
        if mean is None:
            raise RuntimeError("a table was quantized without its mean")
        check_finite(matrix, "weights", scale, mean)
        return Int8Table(numbers, scale, mean, self.activation_bits, target.dtype)

    @override
    def restore(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> Int8Linear | Int8Table:
        plan = self.plan(matrix, target.device)
        check_stored(matrix, tensors, {} if plan is None else plan.stored)
        numbers, scale = tensors[""].to(target.device), tensors[".scale"].to(target.device)
        check_finite(matrix, "scales", scale)
        if matrix.use == "table":
            mean = tensors[".mean"].to(target.device)
            check_finite(matrix, "means", mean)
            return Int8Table(numbers, scale, mean, self.activation_bits, target.dtype)
        return Int8Linear(numbers, scale, bias, self.activation_bits)

    @override
    def config(self) -> Mapping[str, object]:
        return written(self)

    @classmethod
    @override
    def claim(cls, config: Mapping[str, object]) -> Self | None:
        return claimed(cls, config)
