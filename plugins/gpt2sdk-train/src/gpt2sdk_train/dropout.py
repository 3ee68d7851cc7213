"""Dropout for CPUs, from a quarter of the random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional
from typing_extensions import override

_RANGE = 2**16


def keep_scale(like: Tensor, p: float) -> Tensor:
    """Draw what values are multiplied with: 0 with probability `p`, else 1/(1 − p).

    A 64-bit random number decides over four values, 16 bits each, so `p` is rounded to a multiple
    of 1/65536. `torch.nn.functional.dropout` draws a float for each, which takes a tenth of a
    small model's training time.
    """
    dropped = min(round(p * _RANGE), _RANGE - 1)
    words = torch.empty((like.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    drawn = words.view(torch.int16)[: like.numel()].view(like.shape)
    return (drawn >= dropped - _RANGE // 2).to(like.dtype).mul_(_RANGE / (_RANGE - dropped))


class _Drop(Function):
    @staticmethod
    @override
    def forward(ctx: FunctionCtx, x: Tensor, p: float) -> Tensor:
        scale = keep_scale(x, p)
        ctx.save_for_backward(scale)
        return x * scale

    @staticmethod
    @once_differentiable
    @override
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * scale, None


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with `keep_scale` on CPUs."""

    @override
    def forward(self, input: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places embed"]:
        if not self.training or self.p == 0.0:
            return input
        if input.device.type != "cpu" or self.p == 1.0:
            return functional.dropout(input, self.p)
        dropped: Tensor = _Drop.apply(input, self.p)  # type: ignore[no-untyped-call]
        return dropped


@contextmanager
def fast_dropout(model: nn.Module) -> Iterator[None]:
    """Put `Dropout` in the place of every `torch.nn.Dropout`, for a while."""
    replaced = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Dropout
    ]
    for parent, name, child in replaced:
        setattr(parent, name, Dropout(child.p).train(child.training))
    try:
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child.train(getattr(parent, name).training))
