"""LLM.int8: weights and activations in 8 bits, less the activations that are too large."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, final

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    CheckpointError,
    Matrix,
    QuantizedLinear,
    QuantizedMatrix,
    Target,
    TensorInfo,
    check_finite,
)
from gpt2sdk_bitsandbytes import library, rows
from gpt2sdk_bitsandbytes.canary import check
from gpt2sdk_bitsandbytes.int8_linear import ROW_FORMAT, BnbInt8Linear
from gpt2sdk_bitsandbytes.quantizer import SLAB_NUMBERS, Bitsandbytes
from gpt2sdk_bitsandbytes.taking import take

_STATISTICS, _FORMAT = "../SCB", "../weight_format"


@final
class BnbInt8(Bitsandbytes):
    """LLM.int8 (Dettmers et al., 2022): 8 bits, one scale for each row of weights and activations.

    Activations of `threshold` and more are multiplied in float32. Of normal weights, the error is
    0.8 % of their norm. See arXiv:2208.07339, where the large activations of one row decide for
    all that are computed with it; here each row has its own, so that rows stay independent.
    """

    ladder: ClassVar[int | None] = 15

    threshold: Annotated[float, Field(ge=0.0)] = Field(
        default=6.0, description="From where on activations are not rounded; 0 rounds them all"
    )

    @override
    def probe(self, device: torch.device) -> str:
        library.require(device, (7, 5), self.name)
        return check(self, device, 0.03).kernel

    @override
    def plan_layer(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix:
        outputs, inputs = matrix.shape
        return QuantizedMatrix(
            "llm.int8",
            outputs * inputs + 4 * outputs,
            _stored(matrix),
            workspace=12 * min(outputs * inputs, SLAB_NUMBERS),
            passing_workspace=4 * min(outputs * inputs, max(rows.PIECE, inputs)),
        )

    @override
    def layer(
        self,
        matrix: Matrix,
        slabs: Iterator[Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        numbers, largest = rows.quantize(matrix, slabs, target.device)
        return BnbInt8Linear(numbers, largest, bias, threshold=self.threshold)

    @override
    def restore_layer(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        found = take(matrix, _stored(matrix), tensors)
        if int(found[_FORMAT]) != ROW_FORMAT:
            raise CheckpointError(
                f"{matrix.name}: expected weight_format={ROW_FORMAT} (rows), found "
                f"{int(found[_FORMAT])}, an order for old GPUs: save it with a newer bitsandbytes"
            )
        check_finite(matrix, "scales", found[_STATISTICS])
        numbers, largest = found[""].to(target.device), found[_STATISTICS].to(target.device)
        return BnbInt8Linear(numbers, largest, bias, threshold=self.threshold)

    @override
    def own_settings(self) -> Mapping[str, object]:
        return {"load_in_8bit": True, "llm_int8_threshold": float(self.threshold)}

    @classmethod
    @override
    def read_settings(cls, config: Mapping[str, object], bits: int) -> dict[str, object] | None:
        return {"threshold": config.get("llm_int8_threshold", 6.0)} if bits == 8 else None


def _stored(matrix: Matrix) -> dict[str, TensorInfo]:
    return {
        "": TensorInfo(matrix.shape, "int8"),
        _STATISTICS: TensorInfo(matrix.shape[:1], "float32"),
        _FORMAT: TensorInfo((), "uint8"),
    }
