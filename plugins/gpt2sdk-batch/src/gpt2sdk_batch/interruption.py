"""Ctrl-C and SIGTERM, taken as a wish to end with what is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Whether somebody wants the run to end.

    Attributes:
        number: The signal that said so; 0 for none. The second one acts as it does elsewhere.
    """

    def __init__(self) -> None:
        self.number = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take signals, where that is possible: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def __call__(self) -> bool:
        """Whether it is to end."""
        return bool(self.number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(number, self._before[signal.Signals(number)])
