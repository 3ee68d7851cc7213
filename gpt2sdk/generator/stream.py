"""A running call, delta by delta."""

import threading
from collections.abc import Iterator
from typing import Self

from typing_extensions import override

from gpt2sdk.components.records import Delta, Result
from gpt2sdk.generator.call import Call


class Stream(Iterator[Delta]):
    """Yields deltas as their text becomes certain; may be cancelled from any thread."""

    def __init__(self, call: Call, cancel: threading.Event) -> None:
        self._call = call
        self._cancel = cancel
        self._deltas = call.deltas()

    @override
    def __iter__(self) -> Self:
        return self

    @override
    def __next__(self) -> Delta:
        return next(self._deltas)

    def cancel(self) -> None:
        """End soon: unfinished rows come out with `finish_reason="cancelled"`."""
        self._cancel.set()

    @property
    def result(self) -> Result:
        """The completions made so far; once the stream has ended, all of them and their cost."""
        return self._call.result()
