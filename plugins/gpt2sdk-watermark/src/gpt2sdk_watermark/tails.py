"""Tails of the distributions that statistics have in texts without a mark, as natural logs.

All are exact but for rounding, and `coins_tail` of long texts for `2 exp(-50)` of a window: no
normal approximation, which is off by orders of magnitude where it matters, far out and for short
texts.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

# Of what a window's half width of 5 sqrt(count sum(w ** 2)) leaves out, by Hoeffding's inequality.
_OUTSIDE = 2.0 * math.exp(-50.0)

# Beyond it every coin is heads.
_STEEPEST = 60.0


def binomial_tail(count: int, hits: int, share: float) -> float:
    """Return `log P(X >= hits)` of `count` independent trials that each hit with this probability.

    >>> round(math.exp(binomial_tail(3, 2, 0.5)), 6)
    0.5
    """
    if hits <= 0:
        return 0.0
    hit, miss = math.log(share), math.log1p(-share)
    return _log_sum(
        math.lgamma(count + 1)
        - math.lgamma(n + 1)
        - math.lgamma(count - n + 1)
        + n * hit
        + (count - n) * miss
        for n in range(hits, count + 1)
    )


def gamma_tail(count: int, total: float) -> float:
    """Return `log P(S >= total)`, S being the sum of so many exponential numbers of mean 1.

    It is the probability that a Poisson process has fewer than `count` points in that time.

    >>> round(math.exp(gamma_tail(2, 1.0)), 6), round(2 / math.e, 6)
    (0.735759, 0.735759)
    """
    if count == 0 or total <= 0.0:
        return 0.0
    return _log_sum(n * math.log(total) - math.lgamma(n + 1) - total for n in range(count))


def coins_tail(weights: Sequence[int], count: int, total: int) -> float:
    """Return `log P(S >= total)`, S being what fair coins are worth, `count` of each weight.

    Coins are tilted so that `total` is what is expected, the sum's distribution is computed with a
    Fourier transform, and tilted back: so the tail is precise however far out it is.

    Of long texts only a window around the tilted mean is computed, of `10 sqrt(count sum(w ** 2))`
    worths or more. By Hoeffding's inequality the rest holds less than `2 exp(-50)`, which is added,
    so that the tail is not said to be less than it is.

    >>> round(math.exp(coins_tail([1, 2], 1, 2)), 6)
    0.5
    """
    most = count * sum(weights)
    if total <= 0:
        return 0.0
    tilt = _tilt(weights, count, total)
    heads = [1.0 / (1.0 + math.exp(-tilt * weight)) for weight in weights]
    low, length = _window(weights, count, heads)
    if total < low:
        return 0.0
    masses = torch.roll(_residues(weights, heads, count, length), -low)
    masses = masses[total - low : most + 1 - low].clamp(min=0.0)
    beyond = torch.arange(len(masses), dtype=torch.float64)
    outside = 0.0 if length > most else _OUTSIDE
    share = float((masses * torch.exp(-tilt * beyond)).sum()) + outside
    costs = sum(_softplus(tilt * weight) - math.log(2.0) for weight in weights)
    return min(0.0, math.log(share) + count * costs - tilt * total)


def _window(weights: Sequence[int], count: int, heads: Sequence[float]) -> tuple[int, int]:
    """The first worth of those that are computed, and how many they are: a power of two."""
    squares = sum(weight**2 for weight in weights)
    most, wide = count * sum(weights), 10.0 * math.sqrt(count * squares)
    length = 1 << (min(most, math.ceil(wide) + 1)).bit_length()
    mean = count * sum(weight * head for weight, head in zip(weights, heads, strict=True))
    return (0 if length > most else round(mean) - length // 2), length


def _residues(
    weights: Sequence[int], heads: Sequence[float], count: int, length: int
) -> Float64[Tensor, " length"]:
    """How probable each worth is, modulo `length`, of coins that have these chances of heads."""
    angles = torch.arange(length // 2 + 1, dtype=torch.float64) * (2.0 * math.pi / length)
    spectrum = torch.ones_like(angles, dtype=torch.complex128)
    for weight, head in zip(weights, heads, strict=True):
        turned = torch.polar(torch.ones_like(angles), -angles * weight)
        spectrum *= (1.0 - head) + head * turned
    chances: Tensor = torch.fft.irfft(spectrum**count, n=length)
    return chances


def _tilt(weights: Sequence[int], count: int, total: int) -> float:
    """The tilt under which the coins are expected to be worth `total`; none below their mean."""
    if 2 * total <= count * sum(weights):
        return 0.0
    low, high = 0.0, _STEEPEST
    for _ in range(80):
        tilt = (low + high) / 2
        worth = count * sum(weight / (1.0 + math.exp(-tilt * weight)) for weight in weights)
        low, high = (tilt, high) if worth < total else (low, tilt)
    return low


def _softplus(number: float) -> float:
    return number + math.log1p(math.exp(-number))


def _log_sum(logs: Iterable[float]) -> float:
    """The log of a probability, of the logs of what it is the sum of."""
    found = list(logs)
    peak = max(found)
    return min(0.0, peak + math.log(math.fsum(math.exp(each - peak) for each in found)))
