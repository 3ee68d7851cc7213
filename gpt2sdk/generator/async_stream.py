"""A running call for asyncio: delta by delta, the engine being run in a thread of its own."""

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from typing_extensions import override

from gpt2sdk.components.records import Delta, Result
from gpt2sdk.errors import GPT2SDKError
from gpt2sdk.generator.call import Call
from gpt2sdk.session.engine import Engine


@dataclass(frozen=True, slots=True)
class _News:
    """What a driver's thread has for an event loop: that a call has begun, or got on."""

    deltas: Sequence[Delta] = ()
    over: bool = False
    error: BaseException | None = None


class _Bell:
    """Wakes an event loop once for all calls that have news: each time costs both threads some."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._noted: deque[tuple[_AwaitedCall, _News]] = deque()

    def note(self, call: "_AwaitedCall", news: _News) -> None:
        self._noted.append((call, news))

    def ring(self) -> None:
        # Drivers of several engines may ring for one loop.
        noted = []
        with suppress(IndexError):
            while True:
                noted.append(self._noted.popleft())
        if not noted:
            return
        try:
            loop = self._loop()
            if loop is not None:
                loop.call_soon_threadsafe(self._wake, noted)
                return
        except RuntimeError:  # the loop was closed, and nobody is there to listen
            pass
        for call, _ in noted:
            call.call.drop()

    @staticmethod
    def _wake(noted: "list[tuple[_AwaitedCall, _News]]") -> None:
        for call, news in noted:
            call.hear(news)


_BELLS: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bell]" = weakref.WeakKeyDictionary()


class _AwaitedCall:
    """A call on its way between two threads.

    `board`, `look`, `announce` and `fail` are the driver's. `hear` and the attributes belong to the
    event loop, so that none of them changes while a task looks at several.

    Attributes:
        call: The call.
        news: Set whenever something was heard.
        deltas: What was heard, and not read.
        begun: Whether it was submitted.
        over: Whether nothing more comes.
        error: What was wrong with the call as a whole.
    """

    def __init__(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self._bell = _BELLS.setdefault(loop, _Bell(loop))
        self._boarded = False
        self.news = asyncio.Event()
        self.deltas: deque[Delta] = deque()
        self.begun = False
        self.over = False
        self.error: BaseException | None = None

    def board(self) -> None:
        self.call.submit()
        self._boarded = True
        self._bell.note(self, _News())
        self._bell.ring()

    def look(self, *, idle: bool) -> bool:
        deltas, over = self.call.made(idle=idle)
        if deltas or over:
            self._bell.note(self, _News(deltas, over))
        return not over

    def announce(self) -> None:
        self._bell.ring()

    def fail(self, error: BaseException) -> None:
        if self._boarded:
            with suppress(Exception):  # what was first wrong is told
                self.call.abandon()
        self._bell.note(self, _News(over=True, error=error))
        self._bell.ring()

    def hear(self, news: _News) -> None:
        self.begun = self.begun or news.error is None
        self.deltas += news.deltas
        self.over = self.over or news.over
        self.error = self.error or news.error
        self.news.set()


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
        self._starting = asyncio.Lock()
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
        async with self._starting:
            return self._awaited or await self._start()

    async def _start(self) -> _AwaitedCall:
        call = await asyncio.to_thread(self._begin)
        # On an engine of many calls, one whose stream nobody has any more would run to its end.
        weakref.finalize(self, call.drop).atexit = False
        awaited = self._awaited = _AwaitedCall(call, asyncio.get_running_loop())
        self._engine.run_for(awaited)
        try:
            while not awaited.begun and not awaited.over:
                await awaited.news.wait()
                awaited.news.clear()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not awaited.begun:
            self._end(awaited)
        return awaited

    def _end(self, awaited: _AwaitedCall) -> None:
        if self._ended:
            return
        self._ended = True
        if awaited.error is not None:
            raise awaited.error
        awaited.call.raise_loss()
