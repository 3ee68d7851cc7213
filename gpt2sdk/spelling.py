"""Names that were meant, where one is misspelled."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_ALIKE = 0.75
_ALIKE_BUT_FIRST = 0.85
_ALIKE_JOINED = 0.9
_SHORT = 3
# Letters of what may be a misspelling: the time to compare grows with their square.
_LONGEST = 100


def likely(name: str, names: Iterable[str], most: int = 3) -> list[str]:
    """Return the names of which this one may be a misspelling, the likeliest first.

    A slip changes letters within words; another word is another meaning, however many letters
    two names share: `min_new_tokens` is no misspelling of `max_new_tokens`, nor `top_a` of `top_p`.

    Args:
        name: What was written.
        names: What there is.
        most: How many to return at the most.

    >>> likely("temprature", ["temperature", "top_p"]), likely("topp", ["top_k", "top_p"])
    (['temperature'], ['top_p'])
    >>> likely("top_a", ["top_p"]), likely("max_new_token", ["max_new_tokens", "min_new_tokens"])
    ([], ['max_new_tokens'])
    """
    if len(name) > _LONGEST:
        return []
    shares = {each: _share(_words(name), _words(each)) for each in sorted(set(names))}
    same = [each for each in shares if shares[each] == 1]
    near = same or [each for each in shares if shares[each] > 0]
    return sorted(near, key=lambda each: (-shares[each], -_ratio(name, each)))[:most]


def _words(name: str) -> list[str]:
    """Take a name apart, whether in snake_case, with hyphens, dots or capitals.

    >>> _words("dry.base"), _words("NoRepeatNgramSize")
    (['dry', 'base'], ['no', 'repeat', 'ngram', 'size'])
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", " ", name).lower().split()


def _share(one: list[str], other: list[str]) -> float:
    """Say how much two names are alike, from 0 (different words) to 1 (the same letters)."""
    joined, other_joined = "".join(one), "".join(other)
    if joined == other_joined:
        return 1.0
    whole = _ratio(joined, other_joined)
    if len(one) != len(other):
        return whole if whole >= _ALIKE_JOINED else 0.0
    same_words = all(_is_slip(*pair) for pair in zip(one, other, strict=True))
    return whole if same_words else 0.0


def _is_slip(one: str, other: str) -> bool:
    """Whether two words may be one: of short words no letter is another one.

    >>> _is_slip("ps", "p"), _is_slip("dyr", "dry"), _is_slip("a", "p"), _is_slip("eos", "eod")
    (True, True, False, False)
    """
    if one == other or _is_swapped(one, other):
        return True
    short, long = sorted((one, other), key=len)
    if len(short) <= _SHORT:
        left = [long[:place] + long[place + 1 :] for place in range(len(long))]
        return short in left
    return _ratio(one, other) >= (_ALIKE if one[0] == other[0] else _ALIKE_BUT_FIRST)


def _is_swapped(one: str, other: str) -> bool:
    """Whether two words differ by two neighbouring letters that changed places.

    >>> _is_swapped("dyr", "dry"), _is_swapped("topn", "stop")
    (True, False)
    """
    swaps = (one[:at] + one[at + 1] + one[at] + one[at + 2 :] for at in range(len(one) - 1))
    return other in swaps


def _ratio(one: str, other: str) -> float:
    """Say which share of two texts they have in common."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
