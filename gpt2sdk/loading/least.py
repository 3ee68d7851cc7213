"""How little memory would do: the size to ask for where what was asked for is too small."""

from collections.abc import Callable
from typing import Final

# Bytes, into how many parts a unit is divided, and its prefix.
_UNITS: Final = ((10**9, 100, "G"), (10**6, 10, "M"), (10**3, 10, "K"))


def least(fits: Callable[[int], bool], most: int, *, precision: float = 0.04) -> int | None:
    """Return the least number of bytes within which something fits; `None` if `most` are too few.

    Args:
        fits: Whether it fits into so many; if into some, then into more.
        most: Where to begin.
        precision: By which share the answer may be too large.

    Example:
        >>> least(lambda nbytes: nbytes >= 700, most=1000)
        702
        >>> least(lambda nbytes: nbytes >= 700, most=600)
    """
    if not fits(most):
        return None
    low, high = 0, most
    while high - low > precision * high and high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def size_to_ask(nbytes: int) -> str:
    """Write a size as it is asked for, rounded up to three digits or more.

    >>> size_to_ask(1_234_567_890), size_to_ask(45_610_000), size_to_ask(700)
    ('1.24GB', '45.7MB', '0.7KB')
    """
    unit, digits, prefix = next((each for each in _UNITS if nbytes >= each[0]), _UNITS[-1])
    return f"{-(-nbytes * digits // unit) / digits:g}{prefix}B"
