"""Ctrl-C, taken as a wish to end at the next step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether the user wants to end.

    Attributes:
        wanted: Set by the first Ctrl-C (or SIGTERM); the second acts as it does elsewhere.
    """

    def __init__(self) -> None:
        self.wanted = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take signals, where that is possible: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        self._before = before
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        signal.signal(number, self._before[signal.Signals(number)])
