"""Distinct-n: how many different things are said."""

import math
from collections.abc import Sequence

from gpt2sdk_evaluation.metrics.words import Text, ngrams


def distinct_n(texts: Sequence[Text], n: int = 2) -> float:
    """Return the share of different n-grams among all n-grams of all texts.

    `distinct-n = |set of n-grams| / number of n-grams`: 1 if nothing is said twice, near 0 if
    all texts are alike. It falls with the amount of text: compare equal amounts.

    Li, Galley, Brockett, Gao and Dolan, "A diversity-promoting objective function for neural
    conversation models", 2016, arXiv:1510.03055. They divide by the number of words; by the
    number of n-grams, as is usual since then, 1 is reached for any `n`.

    Args:
        texts: Generations; their words are what blanks separate, unless words or tokens are given.
        n: Words of an n-gram, 1 or more.

    Returns:
        A number from 0 to 1; NaN if no text has `n` words.

    Raises:
        OptionError: `n` is less than 1.

    Example:
        Six words, three of them different; four pairs, three of them different:

        >>> distinct_n(["a b a", "a b c"], n=1), distinct_n(["a b a", "a b c"], n=2)
        (0.5, 0.75)
    """
    found = [ngram for text in texts for ngram in ngrams(text, n)]
    return len(set(found)) / len(found) if found else math.nan
