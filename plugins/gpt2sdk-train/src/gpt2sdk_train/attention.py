"""Causal attention with its matrices written out: faster to train on a CPU than a fused kernel.

Up to a thousand positions the matrices of scores are small, and four batched products (six with
the backward pass) beat torch's flash attention for CPUs, which computes the scores twice.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from typing_extensions import override

from gpt2sdk.gpt2 import Attend, CausalAttention, Heads
from gpt2sdk_train.dropout import keep_scale

# Above, the matrices no longer fit the caches and take more memory than the rest.
_LONGEST = 1024


class TrainingAttention(Attend):
    """Attends like `CausalAttention`; one is good for one forward pass."""

    def __init__(self) -> None:
        self._fused = CausalAttention()
        self._mask: Tensor | None = None

    @override
    def __call__(
        self, layer: int, qkv: Float[Tensor, "batch time qkv"], heads: Heads
    ) -> Float[Tensor, "batch time embed"]:
        time = qkv.shape[1]
        if qkv.device.type != "cpu" or heads.upcast or time > _LONGEST:
            return self._fused(layer, qkv, heads)
        if self._mask is None:
            self._mask = torch.full((1, time, time), -torch.inf, dtype=qkv.dtype).triu(1)
        mixed: Tensor = _Products.apply(qkv, self._mask, heads)  # type: ignore[no-untyped-call]
        return mixed


class _Products(Function):
    """y = D∘softmax(scaling · Q Kᵀ + mask) V, with D the dropout."""

    @staticmethod
    @override
    def forward(ctx: FunctionCtx, qkv: Tensor, mask: Tensor, heads: Heads) -> Tensor:
        batch, time, _ = qkv.shape
        parts = qkv.view(batch, time, 3, heads.count, heads.size).permute(2, 0, 3, 1, 4)
        query, key, value = parts.reshape(3, batch * heads.count, time, heads.size).unbind(0)
        scores = torch.baddbmm(mask, query, key.mT, alpha=heads.scaling)
        weights = torch.softmax(scores, -1)
        scale = keep_scale(weights, heads.dropout) if heads.dropout else None
        mixed = torch.bmm(weights if scale is None else weights * scale, value)
        ctx.save_for_backward(query, key, value, weights, scale)  # type: ignore[arg-type]
        ctx.heads = heads  # type: ignore[attr-defined]
        return _join(mixed, heads).reshape(batch, time, -1)

    @staticmethod
    @once_differentiable
    @override
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        query, key, value, weights, scale = ctx.saved_tensors  # type: ignore[attr-defined]
        heads: Heads = ctx.heads  # type: ignore[attr-defined]
        batch, time, _ = gradient.shape
        mixed = gradient.view(batch, time, heads.count, heads.size).transpose(1, 2)
        mixed = mixed.reshape(batch * heads.count, time, heads.size)
        d_weights = torch.bmm(mixed, value.mT)
        d_qkv = torch.empty(3, *query.shape, dtype=gradient.dtype)
        torch.bmm((weights if scale is None else weights * scale).mT, mixed, out=d_qkv[2])
        if scale is not None:
            d_weights.mul_(scale)
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)  # noqa: SLF001
        d_scores.mul_(heads.scaling)
        torch.bmm(d_scores, key, out=d_qkv[0])
        torch.bmm(d_scores.mT, query, out=d_qkv[1])
        parts = d_qkv.view(3, batch, heads.count, time, heads.size).permute(1, 3, 0, 2, 4)
        return parts.reshape(batch, time, -1), None, None


def _join(mixed: Tensor, heads: Heads) -> Tensor:
    """Put the heads of a position side by side."""
    return mixed.view(-1, heads.count, *mixed.shape[1:]).transpose(1, 2)
