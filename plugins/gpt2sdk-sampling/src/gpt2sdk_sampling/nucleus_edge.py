"""The nucleus's edge: its least logit, found among as few of the likeliest as hold the mass."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from gpt2sdk import Logits

# How many of the likeliest tokens are looked at first, and then; at last all of them.
_LIKELIEST = (256, 2048, 16384)
# Of fewer, sorting all takes less than finding the likeliest.
_ALL_UP_TO = 4096


def nucleus_edge(
    logits: Logits, mass: float | Float64[Tensor, "rows 1"]
) -> Float32[Tensor, "rows 1"]:
    """Return the least logit of the smallest set of likeliest tokens that holds the mass, on a CPU.

    Few tokens mostly hold it, and these alone are sorted: the likeliest 256, or 2,048, or 16,384.
    What they have to hold is a part of the sum over all. Tokens that are out are left aside: after
    a `top_k` no more than k tokens are looked at.

    Args:
        logits: On a CPU.
        mass: The part to be reached, from 0, below 1; one for all rows, or one for each.

    >>> nucleus_edge(torch.tensor([0.5, 0.3, 0.15, 0.05]).log()[None], 0.7).exp()
    tensor([[0.3000]])
    """
    values = logits.detach().numpy()
    masses = mass.numpy() if isinstance(mass, Tensor) else np.full((1, 1), mass)
    if values.shape[-1] <= _ALL_UP_TO:
        return torch.from_numpy(_edges(values, masses))
    each = np.broadcast_to(masses, (len(values), 1))
    found = [_search(row, part) for row, part in zip(values, each, strict=True)]
    return torch.tensor(found, dtype=logits.dtype).view(-1, 1)


def _search(values: Float[np.ndarray, " vocab"], mass: Float64[np.ndarray, " 1"]) -> float:
    """Find the edge of one row of many tokens."""
    best = values.max()
    if not np.isfinite(best):
        return float(best)
    alive = values > -np.inf
    if np.count_nonzero(alive) <= _ALL_UP_TO:
        return float(_edges(values[np.flatnonzero(alive)][None], mass[None])[0, 0])
    goal = _weights(best - values).sum(dtype=np.float64) * mass[0]
    held, least, before = 0.0, 1.0, 0
    for count in _LIKELIEST:
        # What stands between is at most as likely as the last one that was looked at.
        if count < len(values) and held + least * (count - before) > goal:
            some = np.partition(values, len(values) - count)[-count:]
            weights = _weights(best - some)
            held, least, before = weights.sum(dtype=np.float64), weights.min(), count
            if held > goal:
                return float(_edges(some[None], mass[None], goal)[0, 0])
    return float(_edges(values[None], mass[None], goal)[0, 0])


def _edges(
    values: Float[np.ndarray, "rows vocab"],
    masses: Float64[np.ndarray, "#rows 1"],
    goal: float | None = None,
) -> Float[np.ndarray, "rows 1"]:
    """Find the edges of rows by sorting; the weight to be reached is given where it is known."""
    ordered = np.sort(-values, axis=-1)
    # numpy would warn of a row without a token.
    distance = torch.from_numpy(ordered).sub(torch.from_numpy(ordered[:, :1])).numpy()
    reached = _weights(distance).cumsum(-1, dtype=np.float64)
    goals = reached[:, -1:] * masses if goal is None else goal
    rows = np.arange(len(values))
    place = np.minimum((reached < goals).sum(-1), values.shape[-1] - 1)
    # Tokens whose distance is rounded to the same are one.
    last = (distance <= distance[rows, place][:, None]).sum(-1) - 1
    edges: Float[np.ndarray, "rows 1"] = -ordered[rows, last][:, None]
    return edges


def _weights(distance: Float[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
    """The odds of tokens that are so far below the best one."""
    return torch.from_numpy(distance).neg().exp_().numpy()
