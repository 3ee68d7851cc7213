"""Resampling: which particles have children, and how many."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

Probs = Float[Tensor, " particles"]
"""Normalised weights, float64."""

Randoms = Float[Tensor, " numbers"]
"""Exponential numbers of mean 1, independent of one another, float64."""

Scheme = Literal["multinomial", "stratified", "systematic", "residual", "optimal"]


class Selection(NamedTuple):
    """Which particles go on.

    Attributes:
        parents: The particle that each child is a copy of, in ascending order.
        weights: Each child's share of the total weight; they add up to about 1.
    """

    parents: Int[Tensor, " children"]
    weights: Float[Tensor, " children"]


def multinomial(probs: Probs, children: int, randoms: Callable[[int], Randoms]) -> Selection:
    """Draw each child's parent by itself, in a race of the particles.

    >>> even = torch.full((4,), 0.25, dtype=torch.float64)
    >>> numbers = torch.tensor([4.0, 3, 2, 1, 1, 2, 3, 4], dtype=torch.float64)
    >>> multinomial(even, 2, lambda count: numbers).parents.tolist()
    [0, 3]
    """
    times = randoms(children * len(probs)).view(children, -1) / probs
    times = times.masked_fill(probs == 0.0, torch.inf)
    return _even(times.argmin(1).sort().values)


def stratified(probs: Probs, children: int, randoms: Callable[[int], Randoms]) -> Selection:
    """Draw one number from each of `children` equal parts of [0, 1): `(i + u_i) / children`.

    Kitagawa, 1996, doi:10.1080/10618600.1996.10474692.
    """
    points = torch.arange(children) + _uniforms(randoms(children))
    return _even(_found(probs, points / children))


def systematic(probs: Probs, children: int, randoms: Callable[[int], Randoms]) -> Selection:
    """Take one number for all parts: of `n` children a particle of weight `w` has `n w`, or nearly.

    >>> probs = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    >>> number = torch.log(torch.tensor([2.0], dtype=torch.float64))  # u = 1/2
    >>> systematic(probs, 4, lambda count: number).parents.tolist()
    [0, 0, 1, 2]
    """
    points = torch.arange(children) + _uniforms(randoms(1))
    return _even(_found(probs, points / children))


def residual(probs: Probs, children: int, randoms: Callable[[int], Randoms]) -> Selection:
    """Give each particle `floor(n w)` children, and draw the rest by what remains of the weights.

    Liu and Chen, 1998, doi:10.1080/01621459.1998.10473765.
    """
    # A sum of weights may be a rounding off, and n w a little less than the whole number it is.
    whole = (children * probs + 1e-9).floor()
    parents = torch.arange(len(probs)).repeat_interleave(whole.long())
    rest = children - len(parents)
    if rest > 0:
        left = (children * probs - whole).clamp(min=0.0)
        drawn = multinomial(left / left.sum(), rest, randoms).parents
        parents = torch.cat([parents, drawn]).sort().values
    return _even(parents)


def optimal(probs: Probs, children: int, randoms: Callable[[int], Randoms]) -> Selection:
    """Choose `children` of more particles, none of them twice, with the least error of weights.

    Particles of weight `1 / c` and more are kept with their weights; of the others each is kept
    with probability `c w`, by systematic numbers, and weighs `1 / c` then. `c` solves
    `sum_i min(1, c w_i) = children`. Fearnhead and Clifford, 2003, doi:10.1111/1467-9868.00421.
    Particles without weight are never chosen, so there may be fewer children.

    >>> probs = torch.tensor([0.6, 0.2, 0.1, 0.1], dtype=torch.float64)
    >>> number = torch.log(torch.tensor([4 / 3], dtype=torch.float64))  # u = 1/4
    >>> chosen = optimal(probs, 2, lambda count: number)
    >>> chosen.parents.tolist(), [round(each, 3) for each in chosen.weights.tolist()]
    ([0, 1], [0.6, 0.4])
    """
    alive = probs.nonzero()[:, 0]
    if len(alive) <= children:
        return Selection(alive, probs[alive])
    c = find_c(probs, children)
    light = c * probs < 1.0
    chances = (c * probs).where(light, 0.0)
    points = torch.arange(round(float(chances.sum()))) + _uniforms(randoms(1))
    drawn = torch.searchsorted(chances.cumsum(0), points, right=True)
    # The last point may be a rounding above the last sum.
    drawn = drawn.clamp(max=int(chances.nonzero()[-1]))
    parents = torch.tensor(sorted({*(~light).nonzero()[:, 0].tolist(), *drawn.tolist()}))
    return Selection(parents, probs[parents].where(~light[parents], 1.0 / c))


def find_c(probs: Probs, children: int) -> float:
    """Solve `sum_i min(1, c w_i) = children`, for more particles with weight than children.

    With the `k` largest weights kept, `c` is `(children - k)` over the sum of the others; the
    least `k` for which no other one reaches `1 / c` is right.

    >>> find_c(torch.tensor([0.6, 0.2, 0.1, 0.1], dtype=torch.float64), 2)
    2.5...
    """
    ordered = probs.sort(descending=True).values
    sums = ordered.flip(0).cumsum(0).flip(0)[:children]
    candidates = (children - torch.arange(children)) / sums
    fits = candidates * ordered[:children] < 1.0
    # Beside a weight that is lost in rounding none fits: all the others are kept.
    fits[-1] = True
    return float(candidates[fits.int().argmax()])


SCHEMES = {
    "multinomial": multinomial,
    "stratified": stratified,
    "systematic": systematic,
    "residual": residual,
    "optimal": optimal,
}


def _uniforms(randoms: Randoms) -> Randoms:
    """Numbers in [0, 1), made of exponential ones."""
    return -torch.expm1(-randoms)


def _found(probs: Probs, points: Float[Tensor, " numbers"]) -> Int[Tensor, " numbers"]:
    """The particle in whose part of the cumulative weight each point lies."""
    sums = probs.cumsum(0)
    return torch.searchsorted(sums, points * sums[-1], right=True).clamp(
        max=int(probs.nonzero()[-1])
    )


def _even(parents: Int[Tensor, " children"]) -> Selection:
    children = len(parents)
    return Selection(parents, torch.full((children,), 1.0 / children, dtype=torch.float64))
