"""Token repetition: how many words stood a little before already."""

import math
from collections.abc import Sequence

from gpt2sdk import OptionError
from gpt2sdk_evaluation.metrics.words import Text, words


def token_repetition(texts: Sequence[Text], length: int = 128) -> float:
    """Return the share of words that are among the `length` words before them: rep/l.

    `rep/l = Σ_t [x_t ∈ {x_{t−l}, …, x_{t−1}}] / number of words`, over all texts, `l` = `length`.

    Welleck, Kulikov, Roller, Dinan, Cho and Weston, "Neural text generation with unlikelihood
    training", 2020, arXiv:1908.04319. They look at a model's likeliest next token after given
    text; here it is the text itself, which for greedy search is the same.

    Args:
        texts: Generations; their words are what blanks separate, unless words or tokens are given.
        length: How many words before it a word is looked for in, 1 or more.

    Returns:
        A number from 0, nothing is repeated, to 1; NaN if there are no words.

    Raises:
        OptionError: `length` is less than 1.

    Example:
        The second "a" is two words behind the first one:

        >>> token_repetition(["a b a c"], length=2), token_repetition(["a b a c"], length=1)
        (0.25, 0.0)
    """
    if length < 1:
        raise OptionError(
            f"length is a number of words, 1 or more; got {length}", name="length", value=length
        )
    repeated = [
        word in found[max(0, place - length) : place]
        for found in map(words, texts)
        for place, word in enumerate(found)
    ]
    return sum(repeated) / len(repeated) if repeated else math.nan
