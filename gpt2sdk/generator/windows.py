"""A text in windows: the model reads each of them anew, and every token is predicted once."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a text that the model reads.

    Attributes:
        text: The text's number.
        start: The first token that is read.
        stop: One more than the last.
        scored: At how many of the last positions the prediction of the next token counts.
    """

    text: int
    start: int
    stop: int
    scored: int

    def __len__(self) -> int:
        """How many tokens are read."""
        return self.stop - self.start


def cut(text: int, length: int, size: int, stride: int, known: int = 1) -> Iterator[Window]:
    """Cut a text of so many tokens; each that is not known is predicted once, in order.

    The first window holds all that is known, where that leaves room for `stride` predictions. From
    the second window on, a token is predicted from at least `size - stride` tokens before it.

    Args:
        text: The text's number.
        length: Its tokens, those before what is to be scored included.
        size: The most tokens of a window.
        stride: The least predictions of each window but the last.
        known: How many of its first tokens are not predicted: one or more.

    Example:
        >>> [(each.start, each.stop, each.scored) for each in cut(0, 10, size=4, stride=2)]
        [(0, 4, 4), (2, 6, 2), (4, 8, 2), (5, 9, 1)]
        >>> [(each.start, each.stop, each.scored) for each in cut(0, 10, 4, 2, known=8)]
        [(5, 9, 2)]
    """
    done = known - 1
    while done < length - 1:
        whole = done == known - 1 and done < size
        stop = min(max(size if whole else 0, done + stride), length - 1)
        yield Window(text, max(0, stop - size), stop, stop - done)
        done = stop
