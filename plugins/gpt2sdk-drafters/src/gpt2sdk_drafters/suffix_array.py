"""A suffix array: where any run of tokens stands in a text that does not change."""

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Sequence

import torch

_SAMPLED = 64
"""Of how many occurrences the next token is looked at, where there are more."""


class SuffixArray:
    """The places of a text in the order of what follows them, up to `DEPTH` tokens.

    It takes eight bytes for each token; while it is made, about a hundred. Runs of tokens are found
    by bisection: a proposal from a million tokens takes some 200 microseconds.

    Made by prefix doubling: Manber and Myers, "Suffix arrays: a new method for on-line string
    searches", 1993, doi:10.1137/0222058.

    Example:
        After `1 2`, `3` stands twice and `4` once:

        >>> texts = SuffixArray([1, 2, 3, 1, 2, 4, 1, 2, 3, 5], separator=9)
        >>> texts.longest([0, 1, 2], 24)
        (0, 3, 2)
        >>> texts.follow(0, 3, 2, 2, 0.5)
        [3]
    """

    DEPTH = 64

    def __init__(self, tokens: Sequence[int], separator: int) -> None:
        """Sort.

        Args:
            tokens: The text.
            separator: The id that stands between texts: nothing is followed beyond it.
        """
        self._separator = separator
        self._spelled = _spell(tokens)
        self._order = array("I", _sorted(torch.tensor(tokens, dtype=torch.int64)).tolist())

    def __len__(self) -> int:
        return len(self._order)

    @property
    def nbytes(self) -> int:
        """Bytes that are held."""
        return len(self._spelled) + len(self._order) * self._order.itemsize

    def longest(self, history: Sequence[int], most: int) -> tuple[int, int, int]:
        """Find the longest run of last tokens that stands in the text.

        Args:
            history: What was written.
            most: The longest that is looked for.

        Returns:
            Where its occurrences begin and end in the order, and how many tokens it has; 0 for
            none.
        """
        low, high = 0, min(most, len(history))
        found = 0, 0, 0
        # What ends with a long run ends with a shorter one, too.
        while low < high:
            size = (low + high + 1) // 2
            first, last = self._range(_spell(history[len(history) - size :]))
            if first < last:
                low, found = size, (first, last, size)
            else:
                high = size - 1
        return found

    def follow(self, first: int, last: int, size: int, count: int, least: float) -> list[int]:
        """Return the tokens that most often follow, one after another.

        Args:
            first: Where the occurrences begin in the order.
            last: Where they end.
            size: How many tokens they share.
            count: Most tokens to return.
            least: It ends where less than this part of the occurrences goes on so.
        """
        all_ = last - first
        drafted: list[int] = []
        while len(drafted) < count and size < self.DEPTH:
            step = max(1, (last - first) // _SAMPLED)
            votes = Counter(self._at(place, size) for place in range(first, last, step))
            votes.pop(self._separator, None)
            votes.pop(-1, None)
            if not votes:
                break
            token = votes.most_common(1)[0][0]
            first, last = self._narrow(first, last, size, token)
            if last - first < least * all_:
                break
            drafted.append(token)
            size += 1
        return drafted

    def _narrow(self, first: int, last: int, offset: int, token: int) -> tuple[int, int]:
        """Where those begin and end that have this token so many places behind."""
        first = self._bisect(first, last, lambda place: self._at(place, offset) < token)
        return first, self._bisect(first, last, lambda place: self._at(place, offset) <= token)

    def _at(self, place: int, offset: int) -> int:
        """The token so many behind the place; -1 behind the end."""
        start = 4 * (self._order[place] + offset)
        found = self._spelled[start : start + 4]
        return int.from_bytes(found, "big") if found else -1

    def _range(self, run: bytes) -> tuple[int, int]:
        size = len(run)

        def here(place: int) -> bytes:
            start = 4 * self._order[place]
            return self._spelled[start : start + size]

        first = self._bisect(0, len(self), lambda place: here(place) < run)
        return first, self._bisect(first, len(self), lambda place: here(place) <= run)

    @staticmethod
    def _bisect(low: int, high: int, before: Callable[[int], bool]) -> int:
        """The first place from `low` on that is not before."""
        while low < high:
            middle = (low + high) // 2
            if before(middle):
                low = middle + 1
            else:
                high = middle
        return low


def _spell(tokens: Sequence[int]) -> bytes:
    """Four bytes for each token, the highest first: bytes then stand in the tokens' order."""
    spelled = array("I", tokens)
    if sys.byteorder == "little":
        spelled.byteswap()
    return spelled.tobytes()


def _sorted(tokens: torch.Tensor) -> torch.Tensor:
    """Places in the order of what follows them; ranks of 1, 2, 4 … tokens are made of two halves.

    >>> _sorted(torch.tensor([2, 1, 2, 0])).tolist()  # 0; 1 2 0; 2 0; 2 1 2 0
    [3, 1, 2, 0]
    """
    if not len(tokens):
        return tokens
    rank: torch.Tensor = torch.unique(tokens, return_inverse=True)[1]
    size = 1
    while size < SuffixArray.DEPTH:
        behind = torch.zeros_like(rank)
        behind[:-size] = rank[size:] + 1
        rank = torch.unique(rank * (len(rank) + 1) + behind, return_inverse=True)[1]
        size *= 2
    return rank.argsort(stable=True)
