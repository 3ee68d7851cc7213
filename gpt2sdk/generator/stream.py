"""A running call, delta by delta."""

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Self

from typing_extensions import override

from gpt2sdk.components.records import Delta, Result
from gpt2sdk.generator.call import Call


class Stream(Iterator[Delta]):
    """Yields deltas as their text becomes certain; may be cancelled from any thread.

    As a context it is closed at its end: `with generator.stream("…") as stream:`.
    """

    def __init__(self, call: Call, cancel: threading.Event) -> None:
        self._call = call
        self._cancel = cancel
        self._deltas = call.deltas()
        # On an engine of many calls, one whose stream nobody has any more would run to its end.
        weakref.finalize(self, call.drop).atexit = False

    @override
    def __iter__(self) -> Self:
        return self

    @override
    def __next__(self) -> Delta:
        return next(self._deltas)

    def cancel(self) -> None:
        """End soon: unfinished rows come out with `finish_reason="cancelled"`."""
        self._cancel.set()

    def close(self) -> None:
        """Cancel, and wait until `result` has what was made; does nothing after the end."""
        self.cancel()
        deque(self._deltas, maxlen=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def over(self) -> bool:
        """Whether all completions were made, read or not: reading it runs nothing more then."""
        return self._call.over

    @property
    def result(self) -> Result:
        """The completions made so far; once the stream has ended, all of them and their cost."""
        return self._call.result()
