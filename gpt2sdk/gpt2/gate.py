"""Who may compute with a model, and who may change the form of its weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, get_ident
from typing import final


@final
class Gate:
    """Lets several threads compute at once, or one alone change what they compute with.

    Whoever waits to be alone goes before those that come later. Both ways in may be nested, and a
    thread that computes may ask to be alone: it counts as not computing meanwhile, so that two of
    them never wait for each other.

    Example:
        >>> gate = Gate()
        >>> with gate, gate.alone():
        ...     gate.computing
        0
    """

    def __init__(self) -> None:
        """Start with nobody inside."""
        self._turn = Condition()
        self._inside: dict[int, int] = {}
        self._alone: int | None = None
        self._depth = 0
        self._waiting = 0

    @property
    def computing(self) -> int:
        """How many threads compute."""
        return len(self._inside)

    def __enter__(self) -> None:
        """Start to compute, once nobody is alone or waits to be."""
        me = get_ident()
        with self._turn:
            taken = self._alone is not None or self._waiting
            if taken and me not in self._inside and self._alone != me:
                self._turn.wait_for(lambda: self._alone is None and not self._waiting)
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(self, *_error: object) -> None:
        """Stop computing."""
        me = get_ident()
        with self._turn:
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
                if self._waiting:
                    self._turn.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other thread computes, and keep all of them out."""
        me = get_ident()
        mine = self._take(me)
        try:
            yield
        finally:
            with self._turn:
                self._depth -= 1
                if not self._depth:
                    self._alone = None
                    if mine:
                        self._inside[me] = mine
                    self._turn.notify_all()

    def _take(self, me: int) -> int:
        """Take the turn; return how often this thread was computing."""
        with self._turn:
            mine = 0
            if self._alone != me:
                mine = self._inside.pop(me, 0)
                self._waiting += 1
                self._turn.notify_all()
                try:
                    self._turn.wait_for(lambda: self._alone is None and not self._inside)
                except BaseException:
                    if mine:
                        self._inside[me] = mine
                    raise
                finally:
                    self._waiting -= 1
                self._alone = me
            self._depth += 1
            return mine
