"""Buffers that keep their type."""

from collections.abc import Callable

from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk import Quantized


class Steady(Quantized):
    """Keeps statistics in float32 when a model is cast.

    Attributes:
        bias: What a cast is meant for; `None` for nothing.
        like: An empty tensor in the type in which the model computes: it is cast, too.
    """

    bias: Tensor | None
    like: Tensor

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        cast = [tensor for tensor in (self.bias, self.like) if tensor is not None]

        def apply(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            if any(tensor is other for other in cast) or result.dtype == tensor.dtype:
                return result
            return tensor.to(result.device)

        return super()._apply(apply, recurse)
