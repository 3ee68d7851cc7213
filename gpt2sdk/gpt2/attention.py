"""Multi-head causal attention (Vaswani et al., 2017, arXiv:1706.03762), without its matrices.

Queries, keys and values come as the one product that `c_attn` makes, and the mixed values go to
`c_proj`; who attends to what is between them, in an `Attend`: a whole batch here, rows with a
cache in `feed`.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Heads:
    """How one block attends.

    Attributes:
        count: Heads of the block.
        size: Width of one.
        scaling: What scores are multiplied with.
        upcast: Compute scores and softmax in float32, whatever the model's type.
        dropout: The share of attention weights that is dropped; 0 outside training.
    """

    count: int
    size: int
    scaling: float
    upcast: bool
    dropout: float = 0.0


class Attend(Protocol):
    """Who attends to what: mixes the values of a layer's queries, keys and values."""

    def __call__(self, layer: int, qkv: Tensor, heads: Heads) -> Tensor:
        """Return the heads' mixed values.

        Args:
            layer: The block's number.
            qkv: The product of `c_attn`, `[..., 3 * embed]`.
            heads: How the block attends.

        Returns:
            The mixed values, `[..., embed]`, in the type of `qkv`.
        """


class CausalAttention(Attend):
    """Every position of a right-padded batch attends to itself and to what stands before it.

    Attributes:
        maps: The attention weights of each layer, if they were asked for; they are what makes it
            compute scores one by one instead of by a fused kernel.
    """

    def __init__(self, *, keep_maps: bool = False) -> None:
        self.maps: list[Float[Tensor, "batch heads time time"]] = []
        self._keep_maps = keep_maps

    @override
    def __call__(
        self, layer: int, qkv: Float[Tensor, "batch time qkv"], heads: Heads
    ) -> Float[Tensor, "batch time embed"]:
        query, key, value = split_heads(qkv, heads).chunk(3, dim=1)
        if self._keep_maps:
            mixed, weights = weigh(query, key, value, heads)
            self.maps.append(weights)
        else:
            mixed = mix(query, key, value, heads, causal=True)
        return mixed.transpose(1, 2).reshape(*qkv.shape[:2], -1)


def split_heads(
    qkv: Float[Tensor, "batch time qkv"], heads: Heads
) -> Float[Tensor, "batch parts time size"]:
    """View queries, keys and values head by head: first all heads' queries, then keys, values."""
    batch, time, _ = qkv.shape
    return qkv.view(batch, time, 3 * heads.count, heads.size).transpose(1, 2)


def mix(
    query: Float[Tensor, "batch heads new size"],
    key: Float[Tensor, "batch heads total size"],
    value: Float[Tensor, "batch heads total size"],
    heads: Heads,
    *,
    mask: Float[Tensor, "batch 1 new total"] | None = None,
    causal: bool = False,
) -> Float[Tensor, "batch heads new size"]:
    """Compute softmax(scaling · Q Kᵀ + mask) V by the fastest kernel there is."""
    dtype = query.dtype
    if heads.upcast and dtype in (torch.float16, torch.bfloat16):
        query, key, value = query.float(), key.float(), value.float()
    mixed = functional.scaled_dot_product_attention(
        query, key, value, mask, heads.dropout, causal, scale=heads.scaling
    )
    return mixed if mixed.dtype == dtype else mixed.to(dtype)


def weigh(
    query: Float[Tensor, "batch heads time size"],
    key: Float[Tensor, "batch heads time size"],
    value: Float[Tensor, "batch heads time size"],
    heads: Heads,
) -> tuple[Float[Tensor, "batch heads time size"], Float[Tensor, "batch heads time time"]]:
    """Compute what `mix` does with `causal`, step by step, and return the weights too."""
    time = query.shape[2]
    later = torch.ones(time, time, dtype=torch.bool, device=query.device).triu(1)
    if heads.upcast:
        scores = query.float() @ key.float().transpose(2, 3)
    else:
        scores = query @ key.transpose(2, 3)
    scores = (scores * heads.scaling).masked_fill(later, -torch.inf)
    weights = functional.dropout(scores.softmax(-1).to(value.dtype), heads.dropout)
    return weights @ value, weights
