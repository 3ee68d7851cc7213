"""A running call for asyncio: delta by delta, the engine being run in a thread of its own."""

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Self

from typing_extensions import override

from gpt2sdk.components.records import Delta, Result
from gpt2sdk.errors import GPT2SDKError
from gpt2sdk.generator.call import Call
from gpt2sdk.session.engine import Engine


class _Bell:
    """Wakes an event loop once for all calls that have news: each time costs both threads some."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._calls: deque[_AwaitedCall] = deque()

    def note(self, call: "_AwaitedCall") -> None:
        self._calls.append(call)

    def ring(self) -> None:
        # Drivers of several engines may ring for one loop.
        calls = []
        while self._calls:
            with suppress(IndexError):
                calls.append(self._calls.popleft())
        if not calls:
            return
        try:
            loop = self._loop()
            if loop is not None:
                loop.call_soon_threadsafe(self._wake, calls)
                return
        except RuntimeError:  # the loop was closed, and nobody is there to listen
            pass
        for each in calls:
            each.call.drop()

    @staticmethod
    def _wake(calls: "list[_AwaitedCall]") -> None:
        for each in calls:
            each.news.set()


_BELLS: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bell]" = weakref.WeakKeyDictionary()


class _AwaitedCall:
    """A call on its way: what the driver's thread makes of it gets to an event loop.

    Only `deltas`, `over` and `error` are read there, after `news` was set.
    """

    def __init__(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self._bell = _BELLS.setdefault(loop, _Bell(loop))
        self.news = asyncio.Event()
        self.deltas: deque[Delta] = deque()
        self.boarded = False
        self.over = False
        self.error: BaseException | None = None

    def board(self) -> None:
        self.call.submit()
        self.boarded = True
        self._tell()

    def look(self, *, idle: bool) -> bool:
        deltas, over = self.call.made(idle=idle)
        self.deltas += deltas
        self.over = over
        if deltas or over:
            self._bell.note(self)
        return not over

    def announce(self) -> None:
        self._bell.ring()

    def fail(self, error: BaseException) -> None:
        if self.boarded:
            self.call.settle()
        self.error = error
        self.over = True
        self._tell()

    def _tell(self) -> None:
        self._bell.note(self)
        self._bell.ring()


class AsyncStream(AsyncIterator[Delta]):
    """Yields deltas as their text becomes certain, to one event loop.

    The call begins with the first delta that is asked for, or as a context when that is entered:
    `async with generator.astream("…") as stream:`, which ends it at its end.
    """

    def __init__(self, begin: Callable[[], Call], engine: Engine, cancel: threading.Event) -> None:
        self._begin = begin
        self._engine = engine
        self._cancel = cancel
        self._awaited: _AwaitedCall | None = None
        self._ended = False

    @override
    def __aiter__(self) -> Self:
        return self

    @override
    async def __anext__(self) -> Delta:
        awaited = await self._started()
        while not awaited.deltas:
            if awaited.over:
                self._end(awaited)
                raise StopAsyncIteration
            awaited.news.clear()
            if not awaited.deltas and not awaited.over:
                await awaited.news.wait()
        return awaited.deltas.popleft()

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def cancel(self) -> None:
        """End soon: unfinished rows come out with `finish_reason="cancelled"`."""
        self._cancel.set()

    async def aclose(self) -> None:
        """Cancel, and wait until `result` has what was made; does nothing after the end."""
        self.cancel()
        if self._awaited is not None and not self._ended:
            async for _ in self:
                pass

    @property
    def result(self) -> Result:
        """The completions made so far; once the stream has ended, all of them and their cost.

        Raises:
            GPT2SDKError: The call has not begun.
        """
        if self._awaited is None:
            message = "the stream has no result yet: enter it, or read a delta, and it begins"
            raise GPT2SDKError(message)
        return self._awaited.call.result()

    async def _started(self) -> _AwaitedCall:
        """Begin the call if it has not begun: options and prompts are read beside the event loop.

        Raises:
            OptionError: As for `generate`.
            ContextOverflowError: Likewise.
        """
        if self._awaited is not None:
            return self._awaited
        call = await asyncio.to_thread(self._begin)
        # On an engine of many calls, one whose stream nobody has any more would run to its end.
        weakref.finalize(self, call.drop).atexit = False
        awaited = self._awaited = _AwaitedCall(call, asyncio.get_running_loop())
        self._engine.run_for(awaited)
        try:
            while not awaited.boarded and awaited.error is None:
                await awaited.news.wait()
                awaited.news.clear()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not awaited.boarded:
            self._end(awaited)
        return awaited

    def _end(self, awaited: _AwaitedCall) -> None:
        if self._ended:
            return
        self._ended = True
        if awaited.error is not None:
            raise awaited.error
        awaited.call.raise_loss()
