"""Contestants that take turns, and what their times come to: ratios of pairs, and their spread."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

Name = TypeVar("Name")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Spread:
    """Where numbers lie.

    Attributes:
        median: Half of them are below.
        low: The lower quartile: a quarter of them are below.
        high: The upper quartile.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the median and the quartiles, interpolated between neighbours.

        >>> Spread.of([4.0, 1.0, 3.0, 2.0, 5.0])
        Spread(median=3.0, low=2.0, high=4.0)
        >>> Spread.of([7.0])
        Spread(median=7.0, low=7.0, high=7.0)
        """
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    @classmethod
    def of_ratios(cls, over: Sequence[float], under: Sequence[float]) -> Self:
        """Return where the ratios of pairs lie, each pair taken in one round.

        A machine that is slow for a while is so for both of a pair, so ratios of pairs spread less
        than the ratio of two medians is wrong.

        >>> Spread.of_ratios([2.0, 6.0, 4.0], [1.0, 2.0, 2.0])
        Spread(median=2.0, low=2.0, high=2.5)

        Args:
            over: What stands above the line, round by round.
            under: What stands below it.
        """
        return cls.of([one / other for one, other in zip(over, under, strict=True)])

    def as_dict(self) -> dict[str, float]:
        """Return it as JSON has it."""
        return {"median": self.median, "low": self.low, "high": self.high}


def timed(run: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def take_turns(
    contestants: Mapping[Name, Callable[[], Found]],
    rounds: int,
    *,
    enough: Callable[[], bool] = lambda: False,
) -> dict[Name, list[Found]]:
    """Return what each contestant finds in each round; every second round runs backwards.

    >>> seconds = iter([1.0, 2.0, 3.0, 4.0])
    >>> take_turns({"a": lambda: next(seconds), "b": lambda: next(seconds)}, 2)
    {'a': [1.0, 4.0], 'b': [2.0, 3.0]}

    Args:
        contestants: Each runs, and returns such as the seconds that it took.
        rounds: How many turns each has, at most.
        enough: Asked after each round; where it says so, that was the last.
    """
    found: dict[Name, list[Found]] = {name: [] for name in contestants}
    order = list(contestants)
    for _ in range(rounds):
        for name in order:
            found[name].append(contestants[name]())
        order.reverse()
        if enough():
            break
    return found
