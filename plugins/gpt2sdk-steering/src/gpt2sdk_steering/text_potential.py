"""Potentials made of plain functions of a text."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsFloat

from typing_extensions import override

from gpt2sdk_steering.continuation import Continuation
from gpt2sdk_steering.potential import Potential


@dataclass(frozen=True)
class TextPotential(Potential):
    """A potential whose log weights are functions of what is written.

    A function that says true or false is a constraint: 0 where it is true, `-inf` where not.

    Attributes:
        whole: The log weight of a finished text.
        part: The log weight of an unfinished one; without it every prefix has 0, and texts are
            weighed once, at their end.

    Example:
        >>> from gpt2sdk import Prompt
        >>> from gpt2sdk.testing import Letters
        >>> short = TextPotential(lambda text: -float(len(text)))
        >>> king = Continuation("king", (10, 8, 13, 6), Prompt(0, (0,)), Letters())
        >>> short.prefix(king), short.complete(king)
        (0.0, -4.0)
        >>> TextPotential(str.isupper).complete(king)
        -inf
    """

    whole: Callable[[str], float | bool]
    part: Callable[[str], float | bool] | None = None

    @override
    def prefix(self, continuation: Continuation) -> float:
        return 0.0 if self.part is None else _log_weight(self.part(continuation.text))

    @override
    def complete(self, continuation: Continuation) -> float:
        return _log_weight(self.whole(continuation.text))


def _log_weight(said: SupportsFloat) -> float:
    if isinstance(said, bool):
        return 0.0 if said else -math.inf
    return float(said)
