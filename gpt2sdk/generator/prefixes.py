"""What sequences have in common at their beginnings, so that it is fed once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gpt2sdk.session.prefix_cache import LEAST, common


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A stretch of tokens that is fed once for all sequences that have it.

    Attributes:
        start: Where it begins in these sequences.
        stop: One more than its last token's place.
        members: The numbers of the sequences.
        parent: What is fed before it; `None` for what was there already.
        level: How many segments are before it.
    """

    start: int
    stop: int
    members: tuple[int, ...]
    parent: "Segment | None" = None

    @property
    def level(self) -> int:
        """How many segments are fed before it."""
        return 0 if self.parent is None else self.parent.level + 1


def segments(
    sequences: Sequence[Sequence[int]], members: Sequence[int], held: int, least: int = LEAST
) -> Iterator[Segment]:
    """Cut sequences into segments, each behind its parent.

    A beginning that some have in common is a segment where that saves at least `least` tokens;
    sequences that are the same always share one.

    Args:
        sequences: Token ids.
        members: The numbers of those to be cut, in the order of their tokens.
        held: How many first tokens, which all have in common, were fed already.
        least: How many tokens a segment saves at least.

    Example:
        >>> tales = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 5], [6, 7]]
        >>> for each in segments(tales, [0, 1, 2, 3], held=0, least=3):
        ...     print(each.start, each.stop, each.members, each.level)
        0 3 (0, 1, 2) 0
        3 4 (0,) 1
        3 4 (1, 2) 1
        0 2 (3,) 0
    """
    yield from _grow(sequences, members, held, held, None, least)


def _grow(
    sequences: Sequence[Sequence[int]],
    members: Sequence[int],
    start: int,
    split: int,
    parent: Segment | None,
    least: int,
) -> Iterator[Segment]:
    """Cut sequences that agree up to `split`, and were fed up to `start`."""
    for _, found in groupby(members, lambda member: sequences[member][split : split + 1]):
        same = tuple(found)
        stop = common(sequences[same[0]], sequences[same[-1]])
        longer = [member for member in same if len(sequences[member]) > stop]
        others = len({tuple(sequences[member][stop:]) for member in same}) - 1
        if not longer or (stop - start) * others >= least:
            segment = Segment(start, stop, same, parent)
            yield segment
            yield from _grow(sequences, longer, stop, stop, segment, least)
        else:
            yield from _grow(sequences, same, start, stop, parent, least)
