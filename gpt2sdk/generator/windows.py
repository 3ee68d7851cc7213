"""A text in windows: the model reads each of them anew, and every token is predicted once."""

from collections.abc import Iterable, Iterator, Sequence
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


def cut(text: int, length: int, size: int, stride: int) -> Iterator[Window]:
    """Cut a text of so many tokens; each but the first is predicted once, in order.

    From the second window on, a token is predicted from at least `size - stride` tokens before it.

    Args:
        text: The text's number.
        length: Its tokens, the one before what is to be scored included.
        size: The most tokens of a window.
        stride: Predictions of each window but the first.

    Example:
        >>> [(each.start, each.stop, each.scored) for each in cut(0, 10, size=4, stride=2)]
        [(0, 4, 4), (2, 6, 2), (4, 8, 2), (5, 9, 1)]
    """
    done = 0
    while done < length - 1:
        stop = min(done + (stride if done else size), length - 1)
        yield Window(text, max(0, stop - size), stop, stop - done)
        done = stop


def batches(windows: Iterable[Window], *, tokens: int, scored: int) -> Iterator[Sequence[Window]]:
    """Group windows that the model can read together, those of like length.

    Args:
        windows: The windows.
        tokens: The most tokens of a batch, all its windows counted as long as the longest.
        scored: The most predictions of a batch. A window that exceeds a limit stands alone.

    Example:
        >>> windows = [Window(0, 0, 3, 3), Window(1, 0, 9, 9), Window(2, 0, 2, 2)]
        >>> [[each.text for each in batch] for batch in batches(windows, tokens=6, scored=5)]
        [[1], [0, 2]]
    """
    batch: list[Window] = []
    for window in sorted(windows, key=len, reverse=True):
        wide = len(batch) * len(batch[0]) + len(batch[0]) > tokens if batch else False
        if batch and (wide or sum(each.scored for each in batch) + window.scored > scored):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
