"""The nucleus's edge: the least logit in it, found among as few of the likeliest as hold the mass."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from gpt2sdk import Logits

# How many of the likeliest tokens are looked at first, and then; at last all of them.
_LIKELIEST = (256, 4096)


def nucleus_edge(
    logits: Logits, mass: float | Float64[Tensor, "rows 1"]
) -> Float32[Tensor, "rows 1"]:
    """Return the least logit of the smallest set of likeliest tokens that holds the mass, on a CPU.

    Few tokens mostly hold it, and these alone are sorted: first the likeliest 256, then 4,096. What
    they have to hold is a part of the sum over all. Tokens that are out are left aside: after a
    `top_k` no more than k tokens are looked at.

    Args:
        logits: On a CPU.
        mass: The part to be reached, from 0, below 1; one for all rows, or one for each.

    >>> nucleus_edge(torch.tensor([0.5, 0.3, 0.15, 0.05]).log()[None], 0.7).exp()
    tensor([[0.3000]])
    """
    values = logits.detach().numpy()
    masses = mass.numpy() if isinstance(mass, Tensor) else np.full((1, 1), mass)
    if values.shape[-1] <= _LIKELIEST[-1]:
        return torch.from_numpy(_edges(values, masses))
    each = np.broadcast_to(masses, (len(values), 1))
    found = [_search(row, part) for row, part in zip(values, each, strict=True)]
    return torch.tensor(found, dtype=logits.dtype).view(-1, 1)


def _search(values: Float[np.ndarray, " vocab"], mass: Float64[np.ndarray, " 1"]) -> float:
    """Find the edge of one row of many tokens."""
    alive = values > -np.inf
    if np.count_nonzero(alive) <= _LIKELIEST[-1]:
        return float(_edges(values[np.flatnonzero(alive)][None], mass)[0, 0])
    total = _weights(values.max() - values).sum(dtype=np.float64)
    for count in _LIKELIEST:
        if count < total * mass[0]:  # not if all were as likely as the best one
            continue
        some = np.partition(values, len(values) - count)[-count:]
        if _weights(values.max() - some).sum(dtype=np.float64) > total * mass[0]:
            return float(_edges(some[None], mass, total)[0, 0])
    return float(_edges(values[None], mass)[0, 0])


def _edges(
    values: Float[np.ndarray, "rows vocab"],
    masses: Float64[np.ndarray, "#rows 1"],
    total: float | None = None,
) -> Float[np.ndarray, "rows 1"]:
    """Find the edges of rows by sorting; the mass is a part of this total, or of their own."""
    ordered = np.sort(-values, axis=-1)
    distance = ordered - ordered[:, :1]
    reached = _weights(distance).cumsum(-1, dtype=np.float64)
    goal = (reached[:, -1:] if total is None else total) * masses
    rows = np.arange(len(values))
    place = np.minimum((reached < goal).sum(-1), values.shape[-1] - 1)
    # Tokens whose distance is rounded to the same are one.
    last = (distance <= distance[rows, place][:, None]).sum(-1) - 1
    return -ordered[rows, last][:, None]


def _weights(distance: Float[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
    """The odds of tokens that are so far below the best one."""
    return torch.from_numpy(distance).neg().exp_().numpy()
