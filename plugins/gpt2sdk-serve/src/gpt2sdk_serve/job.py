"""A request on its way: it waits for memory, runs, and ends in time or early."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from gpt2sdk import AsyncStream, Delta, Result
from gpt2sdk_serve.call_options import CallOptions
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import ServerState

Ending = Literal["timeout", "shutdown", "disconnect"]
"""What ends a request early."""


class Job:
    """A request on its way.

    Attributes:
        served: What runs it.
        prompts: What is continued.
        options: How.
        ended_by: What ended it early, if anything did.
    """

    def __init__(
        self,
        state: ServerState,
        served: ServedModel,
        prompts: Prompts,
        options: CallOptions,
        timeout: float | None,
    ) -> None:
        self.served = served
        self.prompts = prompts
        self.options = options
        self.ended_by: Ending | None = None
        self._state = state
        self._began = time.perf_counter()
        self._first = True
        limits = [each for each in (timeout, state.settings.timeout) if each is not None]
        self._seconds = min(limits, default=None)
        self._wait: asyncio.Timeout | None = None
        self._stream: AsyncStream | None = None

    @property
    def cost(self) -> int:
        """Bytes that its rows may take, by estimate."""
        room = self.options.preset.get("max_new_tokens")
        room = room if isinstance(room, int) else 128
        window = self.served.generator.context_length
        places = sum(min(len(each) + room, window) for each in self.prompts.tokens)
        return places * self.options.rows * self.served.token_bytes

    @asynccontextmanager
    async def started(self) -> AsyncIterator[AsyncStream]:
        """Wait for room and run; at the end, nothing of it is left.

        Raises:
            RequestError: There is no room, or not in time.
            OptionError: The options are wrong.
            ContextOverflowError: A prompt does not fit the window.
        """
        self._state.check_room()
        self._state.running.add(self)
        admission = self.served.admission.room(self.cost)
        loop = asyncio.get_running_loop()
        deadline = None if self._seconds is None else loop.time() + self._seconds
        try:
            try:
                async with asyncio.timeout_at(deadline) as self._wait:
                    await admission.__aenter__()
            except TimeoutError:
                message = "there was no room in time: ask again later"
                raise RequestError(
                    message, status=503, kind="server_error", code="overloaded", retry_after=5
                ) from None
            finally:
                self._wait = None
            try:
                async with self._running(deadline) as stream:
                    yield stream
            finally:
                await admission.__aexit__(None, None, None)
        finally:
            self._state.running.discard(self)
            self._note_end()

    @asynccontextmanager
    async def _running(self, deadline: float | None) -> AsyncIterator[AsyncStream]:
        generator, engine = self.served.generator, self.served.engine
        loop = asyncio.get_running_loop()
        opened = generator.astream(self.prompts.given, engine=engine, config=self.options.preset)
        async with opened as stream:
            self._stream = stream
            alarm = None
            if deadline is not None:
                alarm = loop.call_at(deadline, self.end, "timeout")
            try:
                yield stream
            finally:
                if alarm is not None:
                    alarm.cancel()
                self._note(stream.result)
                self._stream = None

    def end(self, why: Ending) -> None:
        """End early: what was made is the answer."""
        self.ended_by = self.ended_by or why
        if self._stream is not None:
            self._stream.cancel()
        elif self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())

    def see(self, delta: Delta) -> None:
        """Take note of a delta."""
        if self._first and delta.tokens:
            self._first = False
            seconds = time.perf_counter() - self._began
            self._state.metrics.first_token.note(seconds, model=self.served.name)

    async def whole(self) -> Result:
        """Run it to its end.

        Raises:
            GenerationError: Something raised.
        """
        async with self.started() as stream:
            async for delta in stream:
                self.see(delta)
            return stream.result

    def _note(self, result: Result) -> None:
        metrics, usage = self._state.metrics, result.usage
        name = self.served.name
        metrics.prompt_tokens.add(self.prompts.count, model=name)
        metrics.new_tokens.add(usage.new_tokens, model=name)
        metrics.drafted.add(usage.drafted, model=name)
        metrics.accepted.add(usage.accepted, model=name)

    def _note_end(self) -> None:
        metrics = self._state.metrics
        metrics.duration.note(time.perf_counter() - self._began, model=self.served.name)
        if self.ended_by is not None:
            metrics.cancelled.add(why=self.ended_by)
