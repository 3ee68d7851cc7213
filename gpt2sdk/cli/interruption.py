"""Ctrl-C while text is generated: the call ends by itself and keeps what it has made."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def cancelling(cancel: threading.Event) -> Iterator[None]:
    """Let the first interruption set `cancel`; the second is a `KeyboardInterrupt` again.

    A process that was started with interruptions ignored goes on ignoring them.
    """
    watched = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not watched or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        cancel.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
