"""Token sequences, and which of them a row is about to complete."""

from collections.abc import Iterator, Sequence


class Sequences:
    """Sequences of two tokens or more, found by the token that stands before their last one.

    Rows' tokens are at hand as lists, and hardly any sequence is due: looking them up takes less
    than comparing all of them on a device.

    Example:
        >>> some = Sequences([(1, 2), (0, 1, 3), (4, 1, 5)])
        >>> list(some.due([0, 1])), list(some.due([1, 0]))
        ([0, 1], [])
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self._before: dict[int, list[tuple[int, list[int]]]] = {}
        for number, sequence in enumerate(sequences):
            beginning = list(sequence[:-1])
            self._before.setdefault(beginning[-1], []).append((number, beginning))

    def due(self, tokens: Sequence[int]) -> Iterator[int]:
        """Yield the number of each sequence of which these tokens end with all but the last."""
        for number, beginning in self._before.get(tokens[-1], ()):
            if tokens[-len(beginning) :] == beginning:
                yield number
