"""What a user's function thinks of a text."""

import math
from collections.abc import Callable
from typing import SupportsFloat

from gpt2sdk import OptionError


def number(function: Callable[[str], object], text: str, option: str) -> float:
    """Return the number that a function gives a text.

    Raises:
        OptionError: It returns no finite number.

    >>> number(len, "four", "scorer")
    4.0
    """
    value = function(text)
    if not isinstance(value, SupportsFloat) or not math.isfinite(float(value)):
        raise OptionError(
            f"{option} returned {value!r} for {text!r}: expected a finite number",
            name=option,
            value=value,
            expected="a finite number",
        )
    return float(value)
