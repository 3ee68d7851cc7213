"""A request on its way: it waits for memory, runs, and ends in time or early."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from gpt2sdk import GenerationError
from gpt2sdk_serve.log import LOG, one_line
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import Ending, ServerState

T = TypeVar("T")

_PLACES = 8192
"""Tokens that are in memory at a time, at most, where texts are scored."""


class ServedJob:
    """A request on its way.

    Attributes:
        served: What runs it.
        prompts: What is continued, or judged.
        ended_by: What ended it early, if anything did.
    """

    def __init__(
        self,
        state: ServerState,
        served: ServedModel,
        prompts: Prompts,
        timeout: float | None = None,
    ) -> None:
        """Prepare a request; nothing of it waits or runs yet.

        Args:
            state: What requests share.
            served: What runs it.
            prompts: What is continued, or judged.
            timeout: Seconds it has, where it says so.
        """
        self.served = served
        self.prompts = prompts
        self.ended_by: Ending | None = None
        self._state = state
        self._began = time.perf_counter()
        limits = [each for each in (timeout, state.settings.timeout) if each is not None]
        self._seconds = min(limits, default=None)
        self._wait: asyncio.Timeout | None = None
        self._reading: asyncio.Future[Any] | None = None
        self._cancel = threading.Event()

    @property
    def cost(self) -> int:
        """Bytes that it may take, by estimate."""
        window = self.served.generator.context_length
        places = sum(min(len(each), window) for each in self.prompts.tokens)
        return min(places, max(_PLACES, window)) * self.served.token_bytes

    def end(self, why: Ending) -> None:
        """End early: what was made is the answer."""
        self.ended_by = self.ended_by or why
        self._cancel.set()
        if self._wait is not None and not self._wait.expired():
            self._wait.reschedule(asyncio.get_running_loop().time())
        if self._reading is not None:
            self._reading.cancel()

    async def read(self, work: Callable[[threading.Event], Sequence[T]]) -> Sequence[T]:
        """Score texts once those before are done, in the thread for that.

        Args:
            work: What does it; it looks at the event, and ends early once that is set.

        Raises:
            RequestError: The job ended before.
            GenerationError: The model's logits are no numbers.
        """
        self._check_wanted()
        loop = asyncio.get_running_loop()
        # Cancelled, it is not begun, or the thread is through with it soon; and only then goes on.
        reading = loop.run_in_executor(self.served.reader, work, self._cancel)
        self._reading = reading
        try:
            return await reading
        except (asyncio.CancelledError, GenerationError):
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                self._check_wanted()
            self._cancel.set()
            raise
        finally:
            self._reading = None

    def _check_wanted(self) -> None:
        """Say what ended the job, if anything did.

        Raises:
            RequestError: It has ended.
        """
        if self.ended_by == "timeout":
            message = f"not all texts were read within {self._seconds:g} s: send less at a time"
            raise RequestError(message, status=503, kind="server_error", code="timeout")
        if self.ended_by is not None:
            message = "the server is stopping: ask another one, or again when it is back"
            raise RequestError(message, status=503, kind="server_error", retry_after=5)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Wait for room, and run until the time is over.

        Raises:
            RequestError: There is no room, or not in time.
        """
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

    def _note_end(self) -> None:
        metrics = self._state.metrics
        metrics.duration.note(time.perf_counter() - self._began, model=self.served.name)
        if self.ended_by is not None:
            metrics.cancelled.add(why=self.ended_by)
