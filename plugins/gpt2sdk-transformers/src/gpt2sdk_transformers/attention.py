"""Attention over a ragged cache, with what the families of models add to it.

softmax(s) V with s = scaling · Q Kᵀ, which some cap: s = c · tanh(s / c) (Gemma 2), and to whose
denominator some add a learned sink (gpt-oss). Fewer heads of keys than of queries are shared by
neighbours (grouped queries: Ainslie et al., 2023, arXiv:2305.13245).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Rule:
    """How a layer attends.

    Attributes:
        scaling: What scores are multiplied with.
        window: How many places a token sees, itself included; `None` for all.
        softcap: Scores stay within ± this; `None` for any.
        sinks: A logit for each head that takes part in the softmax and mixes nothing in.
    """

    scaling: float
    window: int | None = None
    softcap: float | None = None
    sinks: Float[Tensor, " heads"] | None = None


def attend(
    query: Float[Tensor, "span heads new size"],
    key: Float[Tensor, "span shared total size"],
    value: Float[Tensor, "span shared total width"],
    rule: Rule,
    mask: Float[Tensor, "#span 1 new total"] | None,
    *,
    causal: bool = False,
) -> Float[Tensor, "span heads new width"]:
    """Return the mixed values, in the type of the keys.

    Args:
        query: Of the new tokens.
        key: Of all places.
        value: Likewise.
        rule: How the layer attends.
        mask: What is added to scores.
        causal: Each of `new` sees those before it; then they are all places.
    """
    span, heads, new, _ = query.shape
    query, ways = query.to(key.dtype), heads // key.shape[1]
    if rule.softcap is not None or rule.sinks is not None:
        return _weighed(query, key, value, rule, mask, causal=causal)
    if ways == 1:
        return _fused(query, key, value, rule, mask, causal=causal)
    if causal:
        key, value = (each.repeat_interleave(ways, dim=1) for each in (key, value))
        return _fused(query, key, value, rule, mask, causal=True)
    # The queries of heads that share keys stand behind one another, so that no key is copied.
    asked = query.reshape(span, -1, ways * new, query.shape[-1])
    if mask is not None and new > 1:
        mask = mask.unsqueeze(2).expand(-1, -1, ways, -1, -1).flatten(2, 3)
    mixed = _fused(asked, key, value, rule, mask, causal=False)
    return mixed.reshape(span, heads, new, -1)


def _fused(
    query: Tensor, key: Tensor, value: Tensor, rule: Rule, mask: Tensor | None, *, causal: bool
) -> Tensor:
    return functional.scaled_dot_product_attention(
        query, key, value, mask, is_causal=causal, scale=rule.scaling
    )


def _weighed(
    query: Tensor, key: Tensor, value: Tensor, rule: Rule, mask: Tensor | None, *, causal: bool
) -> Tensor:
    """Compute it step by step, in float32."""
    ways = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(ways, dim=1) for each in (key, value))
    scores = (query @ key.transpose(2, 3)).float() * rule.scaling
    if rule.softcap is not None:
        scores = torch.tanh(scores / rule.softcap) * rule.softcap
    if mask is not None:
        scores = scores + mask
    if causal:
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    if rule.sinks is not None:
        sinks = rule.sinks.to(scores).reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = scores.softmax(dim=-1)
    if rule.sinks is not None:
        weights = weights[..., :-1]
    return weights.to(value.dtype) @ value
