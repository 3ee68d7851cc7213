"""A layer as in LLM.int8: 8-bit weights and activations, but for those that are too large."""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import QuantizedLinear
from gpt2sdk_bitsandbytes import library, rows

ROW_FORMAT = 0
"""What bitsandbytes writes for matrices that are stored row by row."""


@final
class BnbInt8Linear(QuantizedLinear):
    """`x Wᵀ + b` with W and x in 8 bits, a scale for each row of both.

    Activations of `threshold` and more are multiplied in float32 and added. In bitsandbytes, what
    is large in one row decides for all rows that are computed with it; here each row has its own
    large activations, so that its products do not depend on the others. Of a row alone it is the
    same.
    """

    numbers: Tensor
    largest: Tensor

    def __init__(
        self,
        numbers: Tensor,
        largest: Tensor,
        bias: Tensor | None,
        *,
        threshold: float,
    ) -> None:
        """Hold a matrix.

        Args:
            numbers: It, on its device.
            largest: The largest magnitude of each row.
            bias: Its bias, on the same device.
            threshold: From where on activations are large; 0 for nowhere.
        """
        super().__init__()
        self.out_features, self.in_features = numbers.shape
        self.threshold = threshold
        self.register_buffer("bias", bias)
        self.register_buffer("numbers", numbers)
        self.register_buffer("largest", largest)

    @property
    @override
    def kernel(self) -> str:
        return "int8" if library.multiplies_integers(self.numbers.device) else "int8 dequantized"

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        x = input.reshape(-1, self.in_features).float()
        places = (*input.shape[:-1], self.out_features)
        if not len(x):
            return input.new_empty(places)
        if torch.is_grad_enabled() and input.requires_grad:
            result = functional.linear(x, self.dequantize())
        elif library.multiplies_integers(x.device):
            result = self._decomposed(x)
        else:
            result = rows.slab_products(x, self.numbers, self.largest)
        if self.bias is not None:
            result = result + self.bias
        return result.to(input.dtype).view(places)

    @override
    def stored(self) -> Mapping[str, Tensor]:
        row_format = torch.tensor(ROW_FORMAT, dtype=torch.uint8)
        return {"": self.numbers, "../SCB": self.largest, "../weight_format": row_format}

    @override
    def dequantize(self) -> Float[Tensor, "out in"]:
        return rows.dequantize(self.numbers, self.largest)

    @override
    def pack(self) -> None:
        """Nothing is gained: the stored form is the fastest."""

    @override
    def unpack(self) -> None:
        """It is never packed."""

    def _decomposed(self, x: Tensor) -> Tensor:
        largest = x.abs().amax(dim=1)
        if not self.threshold or not bool((largest >= self.threshold).any()):
            return rows.rounded_products(x, self.numbers, self.largest, largest)
        large = x.abs() >= self.threshold
        result = rows.rounded_products(x.masked_fill(large, 0.0), self.numbers, self.largest)
        columns = large.any(dim=0).nonzero()[:, 0]
        outliers = x.masked_fill(~large, 0.0)[:, columns]
        return result.addmm_(outliers, rows.dequantize(self.numbers[:, columns], self.largest).T)
