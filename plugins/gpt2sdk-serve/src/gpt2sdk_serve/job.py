"""A request on its way: it waits for memory, runs, and ends in time or early."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gpt2sdk import AsyncStream, Delta, GenerationError, Result
from gpt2sdk_serve.call_options import CallOptions
from gpt2sdk_serve.log import LOG, one_line
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import Ending, ServerState


class ServedJob:
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
        """Prepare a request; nothing of it waits or runs yet.

        Args:
            state: What requests share.
            served: What runs it.
            prompts: What is continued.
            options: How.
            timeout: Seconds it has, where it says so.
        """
        self.served = served
        self.prompts = prompts
        self.options = options
        self.ended_by: Ending | None = None
        self._state = state
        self._began = time.perf_counter()
        self._seen = False
        limits = [each for each in (timeout, state.settings.timeout) if each is not None]
        self._seconds = min(limits, default=None)
        self._wait: asyncio.Timeout | None = None
        self._cancel = threading.Event()

    @property
    def cost(self) -> int:
        """Bytes that its rows may take, by estimate."""
        room = self.options.preset.get("max_new_tokens")
        room = room if isinstance(room, int) else 128
        window = self.served.generator.context_length
        each = zip(self.prompts.tokens, self.options.rows, strict=True)
        places = sum(min(len(tokens) + room, window) * rows for tokens, rows in each)
        return places * self.served.token_bytes

    def end(self, why: Ending) -> None:
        """End early: what was made is the answer."""
        self.ended_by = self.ended_by or why
        self._cancel.set()
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())

    async def whole(self) -> Result:
        """Run it to its end.

        Raises:
            RequestError: There is no room, or not in time.
            OptionError: The options are wrong.
            ContextOverflowError: A prompt does not fit the window.
            GenerationError: Something raised.
        """
        async with self._admitted():
            try:
                result = await self.served.generator.agenerate(
                    self.prompts.given,
                    engine=self.served.engine,
                    config=self.options.preset,
                    cancel=self._cancel,
                )
            except GenerationError as error:
                self._note(error.partial)
                raise
            self._note(result)
            return result

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncStream]:
        """Run it, delta by delta; at the end, nothing of it is left.

        Raises:
            RequestError: As for `whole`, and so on.
        """
        async with self._admitted():
            stream = self.served.generator.astream(
                self.prompts.given,
                engine=self.served.engine,
                config=self.options.preset,
                cancel=self._cancel,
            )
            async with stream:
                try:
                    yield stream
                finally:
                    self._note(stream.result)

    def see(self, delta: Delta) -> None:
        """Take note of a delta that is sent."""
        if not self._seen and delta.tokens:
            self._seen = True
            seconds = time.perf_counter() - self._began
            self._state.metrics.first_token.note(seconds, model=self.served.name)

    @asynccontextmanager
    async def _admitted(self) -> AsyncIterator[None]:
        """Wait for room, and run until the time is over."""
        self._state.check_room()
        self._state.running.add(self)
        if self._state.settings.log_prompts:
            for prompt in self.prompts.written:
                LOG.info("prompt: %s", one_line(str(prompt)))
        loop = asyncio.get_running_loop()
        deadline = None if self._seconds is None else loop.time() + self._seconds
        alarm = None if deadline is None else loop.call_at(deadline, self.end, "timeout")
        cost = self.cost
        try:
            await self._take(cost, deadline)
            try:
                yield
            finally:
                self.served.admission.give(cost)
        finally:
            if alarm is not None:
                alarm.cancel()
            self._state.leave(self)
            self._note_end()

    async def _take(self, cost: int, deadline: float | None) -> None:
        try:
            async with asyncio.timeout_at(deadline) as self._wait:
                await self.served.admission.take(cost)
        except TimeoutError:
            message = "there was no room in time: ask again later"
            raise RequestError(
                message, status=503, kind="server_error", code="overloaded", retry_after=5
            ) from None
        finally:
            self._wait = None

    def _note(self, result: object) -> None:
        if not isinstance(result, Result):
            return
        if self._state.settings.log_prompts:
            for text in result.texts:
                LOG.info("text: %s", one_line(text))
        metrics, usage, name = self._state.metrics, result.usage, self.served.name
        metrics.prompt_tokens.add(self.prompts.count, model=name)
        metrics.new_tokens.add(usage.new_tokens, model=name)
        metrics.drafted.add(usage.drafted, model=name)
        metrics.accepted.add(usage.accepted, model=name)

    def _note_end(self) -> None:
        metrics = self._state.metrics
        metrics.duration.note(time.perf_counter() - self._began, model=self.served.name)
        if self.ended_by is not None:
            metrics.cancelled.add(why=self.ended_by)
