"""Pages of recurrent states, so that rows share what they have in common.

A page holds all states of one row at one length: what its convolutions still see, and what its
recurrences remember. A row that forks shares its page; whoever goes on writes another one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

# Rows of so many different groups and devices are told apart without being looked up again.
_KEPT = 32


class StateKey(NamedTuple):
    """Which state of a row: each layer may have several.

    Attributes:
        layer: The layer.
        what: `conv` or `recurrent`.
        number: Its number among those of the layer.
    """

    layer: int
    what: str
    number: int


@final
class StatePages:
    """Memory for states, page by page, with the number of those who hold each.

    Attributes:
        most: How many pages are ever held: memory grows ahead of need no further.

    Example:
        >>> pages, key = StatePages(), StateKey(0, "conv", 0)
        >>> first = pages.take()
        >>> pages.write({key: torch.ones(1, 2)}, [first])
        >>> pages.share(first), pages.take(), pages.users(first), pages.nbytes
        (0, 1, 2, 8)
        >>> pages.release(first), pages.release(first), pages.take()
        (None, None, 0)
    """

    def __init__(self) -> None:
        self.most = 0
        self._layers: dict[int, dict[StateKey, Tensor]] = {}
        self._users: list[int] = []
        # What stands for the pages of the rows that decode now: each layer asks for it.
        self._indices: dict[tuple[torch.device, tuple[int, ...]], slice | Tensor] = {}

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated."""
        return sum(tensor.nbytes for tensor in self._all())

    @property
    def page_nbytes(self) -> int:
        """Bytes of one page; 0 while nothing was written."""
        return sum(each[0].nbytes for each in self._all())

    def users(self, page: int) -> int:
        """How many hold a page."""
        return self._users[page]

    def take(self) -> int:
        """Return a page that nobody held."""
        page = self._users.index(0) if 0 in self._users else len(self._users)
        self._users[page : page + 1] = [1]
        return page

    def share(self, page: int) -> int:
        """Let one more hold a page."""
        self._users[page] += 1
        return page

    def release(self, page: int) -> None:
        """Let one less hold a page."""
        self._users[page] -= 1

    def read(self, layer: int, pages: Sequence[int]) -> Iterator[tuple[StateKey, Tensor]]:
        """Yield a layer's states of these pages, in new memory."""
        for key, tensor in self._layers[layer].items():
            at = self._at(pages, tensor.device)
            yield key, tensor[at].clone() if isinstance(at, slice) else tensor[at]

    def write(self, states: Mapping[StateKey, Tensor], pages: Sequence[int]) -> None:
        """Put states into pages, one row each."""
        for key, state in states.items():
            tensor = self._room(key, state)
            tensor[self._at(pages, tensor.device)] = state

    def trim(self) -> None:
        """Give memory back where less than half of the pages is in use."""
        while self._users and not self._users[-1]:
            self._users.pop()
        if not self._users:
            self._layers.clear()
        for states in self._layers.values():
            for key, tensor in states.items():
                if 2 * len(self._users) <= len(tensor):
                    states[key] = tensor[: len(self._users)].clone()

    def _room(self, key: StateKey, like: Tensor) -> Tensor:
        """Return the memory of a state, enlarged if there are more pages by now."""
        states = self._layers.setdefault(key.layer, {})
        held = states.get(key)
        if held is not None and len(held) >= len(self._users):
            return held
        count = len(self._users)
        if held is not None:
            count = max(count, min(self.most, len(held) * 3 // 2))
        # Not an inference tensor: it is also written where gradients are merely off.
        with torch.inference_mode(mode=False):
            made = torch.zeros((count, *like.shape[1:]), dtype=like.dtype, device=like.device)
        if held is not None:
            made[: len(held)] = held
        states[key] = made
        return made

    def _at(self, pages: Sequence[int], device: torch.device) -> slice | Tensor:
        key = device, tuple(pages)
        if key not in self._indices:
            if len(self._indices) >= _KEPT:
                self._indices.clear()
            self._indices[key] = _index(pages, device)
        return self._indices[key]

    def _all(self) -> Iterator[Tensor]:
        for states in self._layers.values():
            yield from states.values()


def _index(pages: Sequence[int], device: torch.device) -> slice | Tensor:
    """Return what stands for pages: a slice, if they lie one behind the other.

    >>> _index([3, 4], torch.device("cpu")), _index([4, 3], torch.device("cpu"))
    (slice(3, 5, None), tensor([4, 3]))
    """
    first, stop = pages[0], pages[0] + len(pages)
    if list(pages) == list(range(first, stop)):
        return slice(first, stop)
    return torch.tensor(pages, device=device)
