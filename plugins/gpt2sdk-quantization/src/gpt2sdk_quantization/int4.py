"""Weights in 4 bits, with a scale and a zero for each group."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Matrix,
    QuantizedLinear,
    QuantizedMatrix,
    QuantizedTable,
    Quantizer,
    Target,
    TensorInfo,
    check_finite,
    check_stored,
)
from gpt2sdk_quantization.checkpoints import claimed, written
from gpt2sdk_quantization.devices import check_present
from gpt2sdk_quantization.int4_kernels import blocks, has_kernel, piece_rows
from gpt2sdk_quantization.int4_linear import Int4Linear
from gpt2sdk_quantization.int4_numbers import PIECE, padded, quantize_slabs
from gpt2sdk_quantization.int8 import Int8

# Copies of a piece in float32 while scales are searched for.
_COPIES = 6
# Bytes for each number of a piece while it is packed or made floating-point: itself, and as int32
# or float32, with what is in between.
_PIECE_BYTES = 12
# Bytes for each input of a piece that is unpacked: rows of the identity, and a copy.
_IDENTITY_BYTES = 1280


class Int4(Quantizer):
    """Holds matrices in 4 bits, and the table of tokens in 8: an eighth of float32, and a bit.

    Weights are `(q − 8)·s + z`, with s and z for each group of a row. They are searched for: see
    `int4_numbers.quantize`. For normal weights the error is 7.3, 8.4 and 9.3 % with groups of 32,
    64 and 128, which take 5, 4.5 and 4.25 bits a weight. Products are in bfloat16. The table and
    an untied head, which need more than 4 bits, are those of `Int8`.

    Attributes:
        group_size: How many neighbouring weights of a row share a scale and a zero.
    """

    ladder: ClassVar[int | None] = 20

    group_size: Annotated[
        Literal[32, 64, 128],
        Field(description="Weights that share a scale: fewer are more exact, and take more bytes."),
    ] = 64

    @override
    def probe(self, device: torch.device) -> str:
        check_present(device)
        tables = f"tables: {Int8().probe(device)}"
        if has_kernel(device, self.group_size):
            return f"int4 in bfloat16 by torch's kernel at any number of rows; {tables}"
        return f"int4 weights made floating-point for each product: slow, at any rows; {tables}"

    @override
    def plan(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix | None:
        if matrix.use != "linear":
            return Int8().plan(matrix, device)
        outputs, width = matrix.shape[0], padded(matrix.shape[1], self.group_size)
        groups = width // self.group_size
        stored = {
            "": TensorInfo((outputs, width // 2), "uint8"),
            ".scale": TensorInfo((outputs, groups), "bfloat16"),
            ".zero": TensorInfo((outputs, groups), "bfloat16"),
        }
        nbytes = blocks(outputs) * (width // 2 + 4 * groups)
        passing = _PIECE_BYTES * width * min(blocks(outputs), piece_rows(width))
        return QuantizedMatrix(
            f"int4 in groups of {self.group_size}",
            nbytes,
            stored,
            workspace=_COPIES * 4 * PIECE,
            packing_workspace=nbytes + passing + _IDENTITY_BYTES * width,
            passing_workspace=passing,
            portable=device.type == "cpu" and has_kernel(device, self.group_size),
        )

    @override
    def linear(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows in"]],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        if matrix.use == "head":
            return Int8().linear(matrix, slabs, bias, target)
        weight, scale, zero = quantize_slabs(slabs, matrix.shape, self.group_size, target.device)
        check_finite(matrix, "weights", scale, zero)
        return Int4Linear(weight, scale, zero, bias, matrix.shape[1])

    @override
    def table(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows embed"]],
        target: Target,
    ) -> QuantizedTable:
        return Int8().table(matrix, slabs, target)

    @override
    def restore(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear | QuantizedTable:
        if matrix.use != "linear":
            return Int8().restore(matrix, tensors, bias, target)
        plan = self.plan(matrix, target.device)
        check_stored(matrix, tensors, {} if plan is None else plan.stored)
        weight, scale, zero = (tensors[name].to(target.device) for name in ("", ".scale", ".zero"))
        check_finite(matrix, "scales", scale, zero)
        return Int4Linear(weight, scale, zero, bias, matrix.shape[1])

    @override
    def config(self) -> Mapping[str, object]:
        return written(self)

    @classmethod
    @override
    def claim(cls, config: Mapping[str, object]) -> Self | None:
        return claimed(cls, config)
