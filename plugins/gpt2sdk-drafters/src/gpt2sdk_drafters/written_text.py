"""A text that grows and is cut back, and where its runs of tokens stand."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gpt2sdk_drafters.shared_prefix import shared_prefix

RUNS = (3, 1)
"""Lengths of runs whose places are written down."""

_LATEST = 64
"""How many places of a run are looked at, the latest ones."""


class WrittenText:
    """Tokens, and behind which of them each run of three, and each single token, stands.

    About 170 bytes for each token.

    Example:
        >>> text = WrittenText([1, 2, 3, 4, 1, 2, 3])
        >>> text.places([1, 2, 3], 3), text.places([1, 2, 3], 1), text.agreeing([0, 2, 3], 3, 24)
        ([3], [3], 2)
        >>> text.agree([1, 2, 5])
        >>> text.tokens, text.places([9, 2], 1)
        ([1, 2, 5], [2])
    """

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self.tokens: list[int] = []
        self._places: dict[tuple[int, ...], list[int]] = {}
        self._extend(tokens)

    def agree(self, history: Sequence[int]) -> None:
        """Become this text: what is not its beginning is forgotten, what is new is added."""
        kept = shared_prefix(self.tokens, history)
        for end in range(len(self.tokens), kept, -1):
            for run in self._runs(end):
                places = self._places[run]
                places.pop()
                if not places:
                    del self._places[run]
            self.tokens.pop()
        self._extend(history[kept:])

    def places(self, tail: Sequence[int], size: int) -> list[int]:
        """Return the latest places of tokens that stand behind the last tokens of `tail`.

        Args:
            tail: What was written, there or elsewhere.
            size: How many of its last tokens: one of `RUNS`.
        """
        if len(tail) < size:
            return []
        found = self._places.get(tuple(tail[-size:]), ())
        return [place for place in found[-_LATEST - 1 :] if place < len(self.tokens)][-_LATEST:]

    def agreeing(self, tail: Sequence[int], place: int, most: int) -> int:
        """Return how many last tokens of `tail` stand before a place, up to `most`."""
        limit = min(most, place, len(tail))
        size = 0
        while size < limit and self.tokens[place - 1 - size] == tail[-1 - size]:
            size += 1
        return size

    def _extend(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            self.tokens.append(token)
            for run in self._runs(len(self.tokens)):
                self._places.setdefault(run, []).append(len(self.tokens))

    def _runs(self, end: int) -> Iterator[tuple[int, ...]]:
        for size in RUNS:
            if size <= end:
                yield tuple(self.tokens[end - size : end])


def follow(places: Sequence[tuple[Sequence[int], int]], count: int, least: float) -> list[int]:
    """Return the tokens that most often follow at these places, one after another.

    What is copied may reach into the copy itself, so a loop is continued as far as is asked for.

    Args:
        places: Texts, and where in each the next token stands.
        count: Most tokens to return.
        least: It ends where less than this part of the places goes on so.

    >>> follow([([1, 2, 3], 1), ([1, 2, 4], 1), ([1, 2, 4], 1)], 2, 0.5)
    [2, 4]
    >>> follow([([1, 2, 1, 2], 2)], 5, 0.5)
    [1, 2, 1, 2, 1]
    """
    drafted: list[int] = []
    going = list(places)
    while len(drafted) < count:
        nexts = [_at(text, place + len(drafted), drafted) for text, place in going]
        # Of equals the latest counts, as it stands nearest.
        votes = Counter(reversed([token for token in nexts if token >= 0]))
        if not votes:
            break
        token, chosen = votes.most_common(1)[0]
        if chosen < least * len(places):
            break
        going = [each for each, other in zip(going, nexts, strict=True) if other == token]
        drafted.append(token)
    return drafted


def _at(text: Sequence[int], place: int, drafted: Sequence[int]) -> int:
    """The token at a place of a text with what was drafted behind it; -1 beyond that."""
    beyond = place - len(text)
    if beyond < 0:
        return text[place]
    return drafted[beyond] if beyond < len(drafted) else -1
