"""Repetition: how much of a text it has said before."""

import math
from collections.abc import Sequence
from statistics import fmean

from gpt2sdk_evaluation.metrics.words import Text, ngrams


def repetition(texts: Sequence[Text], n: int = 4) -> float:
    """Return the mean share of n-grams that repeat an earlier one of the same text: seq-rep-n.

    `seq-rep-n = 1 − |set of n-grams| / number of n-grams`, for each text, and the mean of that.

    Welleck, Kulikov, Roller, Dinan, Cho and Weston, "Neural text generation with unlikelihood
    training", 2020, arXiv:1908.04319.

    Args:
        texts: Generations; their words are what blanks separate, unless words or tokens are
            given. The paper counts tokens: `completion.tokens`.
        n: Words of an n-gram, 1 or more.

    Returns:
        A number from 0, nothing is repeated, to 1; NaN if no text has `n` words. Texts with fewer
        words do not count.

    Raises:
        OptionError: `n` is less than 1.

    Example:
        Of four pairs in the first text one is a repetition, of two in the second none:

        >>> repetition(["a b c a b", "a b c"], n=2)
        0.125
    """
    found = [grams for text in texts if (grams := ngrams(text, n))]
    return fmean(1 - len(set(grams)) / len(grams) for grams in found) if found else math.nan
