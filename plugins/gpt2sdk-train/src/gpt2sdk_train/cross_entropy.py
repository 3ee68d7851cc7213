"""The loss over the vocabulary, in pieces that fit the caches.

The logits of a batch are the largest tensors of a small model's training, and are needed once:
each piece's loss and gradient are computed where its logits are, and never is there a second copy
in float32.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional
from typing_extensions import override

# Logits of one product (a product with many rows is fast, and its result is kept), and of one
# piece in float32 (which should stay in the cache).
_PRODUCT = 2**24
_PIECE = 2**21


def linear_cross_entropy(
    x: Float[Tensor, "positions embed"],
    weight: Float[Tensor, "vocab embed"],
    labels: Int[Tensor, " positions"],
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of `softmax(x Wᵀ)`, in nats; differentiable once.

    Products are in the type of `x`, sums in float32.
    """
    loss: Tensor = _LinearCrossEntropy.apply(x, weight, labels)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def token_losses(
    x: Float[Tensor, "positions embed"],
    weight: Float[Tensor, "vocab embed"],
    labels: Int[Tensor, " positions"],
) -> Float[Tensor, " positions"]:
    """Return the cross-entropy of each position, in nats."""
    pieces = max(1, _PIECE // len(weight))
    matrix = weight.to(x.dtype)
    losses = [
        functional.cross_entropy(functional.linear(part, matrix).float(), label, reduction="none")
        for part, label in zip(torch.split(x, pieces), torch.split(labels, pieces), strict=True)
    ]
    return torch.cat(losses)


class _LinearCrossEntropy(Function):
    @staticmethod
    @override
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
        matrix = weight.to(x.dtype)
        total = torch.zeros((), device=x.device)
        d_x = torch.empty_like(x)
        d_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None  # type: ignore[attr-defined]
        rows = max(1, _PRODUCT // len(weight))
        for start in range(0, len(x), rows):
            part = x[start : start + rows]
            gradient = torch.mm(part, matrix.T)
            total += _differentiate(gradient, labels[start : start + rows], len(x))
            torch.mm(gradient, matrix, out=d_x[start : start + rows])
            if d_weight is not None:
                d_weight += torch.mm(gradient.T, part)
        ctx.save_for_backward(d_x, d_weight)  # type: ignore[arg-type]
        return total / len(x)

    @staticmethod
    @once_differentiable
    @override
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        d_x, d_weight = ctx.saved_tensors  # type: ignore[attr-defined]
        return (
            d_x * gradient.to(d_x.dtype),
            None if d_weight is None else d_weight * gradient,
            None,
        )


def _differentiate(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Turn logits into the gradient of the mean over `count` positions, and return their loss.

    The gradient is (softmax(logits) − onehot(label)) / count.
    """
    total = torch.zeros((), device=logits.device)
    rows = max(1, _PIECE // logits.shape[1])
    for part, label in zip(
        torch.split(logits, rows), torch.split(labels[:, None], rows), strict=True
    ):
        wide = part.float()
        normalizer = wide.logsumexp(1, keepdim=True)
        total += (normalizer - wide.gather(1, label)).sum()
        gradient = wide.sub(normalizer).exp_()
        gradient.scatter_add_(1, label, torch.full_like(normalizer, -1.0))
        part.copy_(gradient.mul_(1.0 / count))
    return total
