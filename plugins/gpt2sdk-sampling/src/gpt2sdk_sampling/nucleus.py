"""The nucleus: how far from the first token one has to go to collect a given mass."""

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from gpt2sdk import row_sums

# A non-negative float32 orders like its bits read as an integer. Its 31 bits in three digits:
# few enough passes, and tables small enough for a core's cache.
_DIGITS = (11, 10, 10)
# On a CPU the float64 copies of so many rows stay in the cache too; other devices take all at once.
_ROWS_AT_A_TIME = 4
# Of smaller vocabularies a sort costs less than the search's many small kernels.
_SORTED_UP_TO = 4096


def reach(
    distance: Float32[Tensor, "rows vocab"],
    weights: Float32[Tensor, "rows vocab"],
    mass: float | Float64[Tensor, "rows 1"],
) -> Float32[Tensor, "rows 1"]:
    """Return the distance at which the nearest tokens first hold `mass` of all weight.

    The result is that of sorting by distance and summing up: of weights 5, 3, 2 at distances
    0, 1, 2 the mass 0.6 is first held (5 + 3 of 10) at distance 1. It is found without a sort:
    weights are summed per leading digit of the distance, which says in which bin the mass is
    reached; then likewise per second digit inside that bin, and per third. Nothing waits for the
    device, the time does not depend on the numbers, and tokens of equal distance are one.

    Args:
        distance: 0 or more, infinite for tokens that are out.
        weights: Unnormalised probabilities.
        mass: The part of the sum to be reached, above 0 (at 0 the answer is 0) and below 1; one
            for all rows, or one for each.

    >>> reach(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[5.0, 3.0, 2.0]]), 0.6)
    tensor([[1.]])
    """
    if distance.shape[-1] <= _SORTED_UP_TO:
        return _reach_by_sorting(distance, weights, mass)
    together = _ROWS_AT_A_TIME if distance.device.type == "cpu" else len(distance)
    masses = mass if isinstance(mass, Tensor) else distance.new_full((1, 1), mass).double()
    parts = zip(
        torch.split(distance, together),
        torch.split(weights, together),
        torch.split(masses.expand(len(distance), 1), together),
        strict=True,
    )
    return torch.cat([_reach(near, heavy, part) for near, heavy, part in parts])


def _reach(
    distance: Float32[Tensor, "rows vocab"],
    weights: Float32[Tensor, "rows vocab"],
    mass: Float64[Tensor, "rows 1"],
) -> Float32[Tensor, "rows 1"]:
    bits = distance.view(torch.int32)
    inside = weights.to(torch.float64)
    goal = row_sums(inside) * mass
    nearer = torch.zeros_like(goal)
    found = torch.zeros_like(goal, dtype=torch.int32)
    shift = sum(_DIGITS)
    for width in _DIGITS:
        shift -= width
        digit = (bits >> shift) & ((1 << width) - 1)
        bins = inside.new_zeros(len(inside), 1 << width).scatter_add_(1, digit.long(), inside)
        reached = bins.cumsum(-1).add_(nearer)
        place = (reached < goal).sum(-1, keepdim=True).clamp(max=(1 << width) - 1)
        nearer = reached.gather(1, place) - bins.gather(1, place)
        found = (found << width) | place.int()
        if shift:
            inside = inside.where((bits >> shift) == found, 0.0)
    return found.view(torch.float32)


def _reach_by_sorting(
    distance: Float32[Tensor, "rows vocab"],
    weights: Float32[Tensor, "rows vocab"],
    mass: float | Float64[Tensor, "rows 1"],
) -> Float32[Tensor, "rows 1"]:
    """The same by sorting.

    >>> _reach_by_sorting(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[5.0, 3.0, 2.0]]), 0.6)
    tensor([[1.]])
    """
    near, order = distance.sort(-1)
    reached = weights.to(torch.float64).gather(-1, order).cumsum(-1)
    place = (reached < reached[:, -1:] * mass).sum(-1, keepdim=True)
    return near.gather(-1, place.clamp(max=near.shape[-1] - 1))
