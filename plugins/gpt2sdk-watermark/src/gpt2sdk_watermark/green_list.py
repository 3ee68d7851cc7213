"""Green lists: tokens that a keyed hash singles out, and how many of them a text has."""

import math
from collections.abc import Iterable
from typing import Annotated

from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from gpt2sdk import Detection, Shared
from gpt2sdk_watermark.tails import binomial_tail

GreenlistRatio = Annotated[
    float,
    Shared(),
    Field(gt=0.0, lt=1.0, description="Share of the vocabulary that is green."),
]
HashingKey = Annotated[
    int,
    Field(ge=0, lt=1 << 64, description="The secret key, below 2 ** 64: records show it."),
]
DEFAULT_KEY = 15485863
"""transformers' own, and so no secret."""


def green_words(words: Int[Tensor, "rows vocab"], ratio: float) -> Bool[Tensor, "rows vocab"]:
    """Whether hashes are green: whether their upper 63 bits are below `ratio * 2 ** 63`."""
    return ((words >> 1) & ((1 << 63) - 1)) < _limit(ratio)


def is_green(word: int, ratio: float) -> bool:
    """Whether a hash is green.

    >>> is_green(1 << 63, 0.25), is_green(1 << 61, 0.25)
    (False, True)
    """
    return word >> 1 < _limit(ratio)


def count_green(words: Iterable[int], ratio: float, token_count: int) -> Detection:
    """Count the green ones among distinct hashes.

    Without the key each is green by chance, with the probability `ratio` and independently, so
    their number is binomial. A hash that returns says nothing new, and counts once.

    >>> found = count_green([0, 0, 1 << 63, 1], 0.5, 4)
    >>> found.statistic, found.count, round(found.p_value, 4)
    (2.0, 3, 0.5)
    """
    distinct = set(words)
    hits, count = sum(is_green(word, ratio) for word in distinct), len(distinct)
    return Detection(
        binomial_tail(count, hits, ratio),
        float(hits),
        count * ratio,
        math.sqrt(count * ratio * (1.0 - ratio)),
        count,
        token_count,
    )


def _limit(ratio: float) -> int:
    return int(ratio * (1 << 63))
