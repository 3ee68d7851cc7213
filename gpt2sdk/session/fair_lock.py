"""A lock that threads get in the order in which they asked, and that forks wait for."""

import os
from collections import deque
from threading import Lock, get_ident
from types import TracebackType
from typing import Final, Self
from weakref import WeakValueDictionary

import torch

# How long a fork waits for a thread that is in the midst of something. It goes on without: what
# that thread holds then never comes back in the child, which begins with none that others hold.
_FORK_WAITS: Final = 10.0


class FairLock:
    """A re-entrant lock that is handed on in the order in which threads came for it.

    Python's own locks go to whoever is quickest, which is the thread that has just let go: one that
    makes step after step would keep all others out.

    A fork waits until no other thread has it, so that the child finds whole what it protects.
    """

    def __init__(self) -> None:
        self._gate = Lock()  # held for some instructions at a time
        self._owner: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, Lock]] = deque()
        _ALL[id(self)] = self

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def acquire(self, timeout: float = -1.0) -> bool:
        """Wait for one's turn; return whether it came.

        Args:
            timeout: Seconds to wait at most; negative for as long as it takes.
        """
        me = get_ident()
        with self._gate:
            if self._owner is None or self._owner == me:
                self._owner = me
                self._depth += 1
                return True
            called = Lock()
            called.acquire()
            self._waiting.append((me, called))
        came = False
        try:
            came = called.acquire(timeout=timeout)
        finally:
            if not came:
                self._leave(me, called)
        return came

    def release(self) -> None:
        """Let the next one have its turn."""
        with self._gate:
            self._depth -= 1
            if not self._depth:
                self._hand_on()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()

    def without_others(self) -> None:
        """Forget all other threads: they are not in this process."""
        self._gate = Lock()
        self._waiting.clear()
        if self._owner != get_ident():
            self._owner, self._depth = None, 0

    def _hand_on(self) -> None:
        self._owner = None
        if self._waiting:
            self._owner, called = self._waiting.popleft()
            self._depth = 1
            called.release()

    def _leave(self, me: int, called: Lock) -> None:
        """Wait no longer, interrupted or out of time; a turn that came meanwhile is handed on."""
        with self._gate:
            if (me, called) in self._waiting:
                self._waiting.remove((me, called))
            elif self._owner == me:
                self._depth = 0
                self._hand_on()


_ALL: WeakValueDictionary[int, FairLock] = WeakValueDictionary()
_held: list[FairLock] = []


def _everyone() -> list[FairLock]:
    return [found for each in _ALL.valuerefs() if (found := each()) is not None]


def _before_fork() -> None:
    _held.extend(each for each in _everyone() if each.acquire(_FORK_WAITS))


def _after_fork() -> None:
    while _held:
        _held.pop().release()


def _in_child() -> None:
    # GNU's OpenMP has lost its threads, and would wait for them as soon as an operation of torch is
    # to be divided: none is.
    torch.set_num_threads(1)
    for each in _everyone():
        each.without_others()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
