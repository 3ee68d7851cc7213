"""Detectors: how surely a text carries a mark that whoever has its key can find."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gpt2sdk.components.component import Component


@dataclass(frozen=True, slots=True)
class Detection:
    """What a detector found in one text.

    Attributes:
        log_p_value: The natural log of the p-value; it says more where that is too small a number.
        statistic: What was measured; more of it speaks for a mark.
        mean: What is expected of it where there is no mark.
        deviation: Its standard deviation there.
        count: How many of the text's tokens were judged: repetitions tell nothing new.
        token_count: How many tokens the text has.
        notes: What whoever asked should know, one line each.

    Example:
        >>> found = Detection(math.log(0.01), 14.0, 5.0, 2.0, 20, 25)
        >>> round(found.p_value, 4), found.z_score
        (0.01, 4.5)
    """

    log_p_value: float
    statistic: float
    mean: float
    deviation: float
    count: int
    token_count: int
    notes: tuple[str, ...] = ()

    @property
    def p_value(self) -> float:
        """How probable so much is in a text that knows nothing of the key; 1 if nothing counts."""
        return math.exp(self.log_p_value)

    @property
    def z_score(self) -> float:
        """By how many standard deviations the statistic exceeds its mean; 0 if nothing counts."""
        return (self.statistic - self.mean) / self.deviation if self.deviation else 0.0


class Detector(Component):
    """Judges token ids. It needs no model: what it looks for depends on a key and on the text.

    What writes a mark is best its own detector: a class derived from `LogitsProcessor` or
    `Sampler`, and from `Detector`. Then the settings that wrote a text are those that find it.
    """

    def detect(self, tokens: Sequence[int], start: int = 0) -> Detection:
        """Say how surely tokens carry the mark.

        The p-value is over keys: at most a share `a` of keys that know nothing of a text gives it
        a p-value of `a` or less, whatever `a` is. Of many texts under one key it may be more or
        less, since they have hashes in common.

        Args:
            tokens: Of a text, or of a part of one.
            start: Where the judged tokens begin; those before are context only.
        """
        message = f"{type(self).__name__} does not override detect"
        raise TypeError(message)
