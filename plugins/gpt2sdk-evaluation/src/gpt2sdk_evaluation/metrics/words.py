"""The words of a text, and the n-grams of its words."""

from collections.abc import Hashable, Sequence

from gpt2sdk import OptionError

Text = str | Sequence[Hashable]
"""A text, whose words are what blanks separate; or its words or tokens themselves."""


def words(text: Text) -> Sequence[Hashable]:
    """Return the words of a text.

    >>> words("to be, or not"), words([5, 3])
    (['to', 'be,', 'or', 'not'], [5, 3])
    """
    return text.split() if isinstance(text, str) else text


def ngrams(text: Text, n: int) -> list[tuple[Hashable, ...]]:
    """Return all runs of `n` words, in order.

    >>> ngrams("to be or not", 3)
    [('to', 'be', 'or'), ('be', 'or', 'not')]

    Raises:
        OptionError: `n` is less than 1.
    """
    if n < 1:
        raise OptionError(f"n is a number of words, 1 or more; got {n}", name="n", value=n)
    found = words(text)
    return [tuple(found[start : start + n]) for start in range(len(found) - n + 1)]
