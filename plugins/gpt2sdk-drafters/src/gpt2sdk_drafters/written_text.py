"""A text that grows and is cut back, and where its runs of tokens stand."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gpt2sdk_drafters.shared_prefix import shared_prefix

_RUNS = (3, 1)
"""Lengths of runs whose places are written down; the longer ones are asked first."""
_LATEST = 64
"""How many places of a run are looked at, the latest ones."""


class WrittenText:
    """Tokens, and behind which of them each run of three, and each single token, stands.

    About 250 bytes for each token.

    Example:
        >>> text = WrittenText([1, 2, 3, 4, 1, 2, 3])
        >>> list(text.places([1, 2, 3], 24))
        [(3, 3)]
        >>> text.agree([1, 2, 5])
        >>> text.tokens, list(text.places([9, 2], 24))
        ([1, 2, 5], [(1, 2)])
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

    def places(self, tail: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
        """Find where the last tokens of `tail` stand before others.

        Args:
            tail: What was written, there or elsewhere.
            most: The longest run that counts.

        Yields:
            How many tokens agree, and the place of the next one.
        """
        for size in _RUNS:
            found = self._places.get(tuple(tail[-size:]), ()) if len(tail) >= size else ()
            places = [place for place in found[-_LATEST - 1 :] if place < len(self.tokens)]
            for place in places[-_LATEST:]:
                yield self._agreeing(tail, place, most), place
            if places:
                return

    def _agreeing(self, tail: Sequence[int], place: int, most: int) -> int:
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
        for size in _RUNS:
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
