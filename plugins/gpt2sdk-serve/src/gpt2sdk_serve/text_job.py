"""A request for text on its way: rows that continue its prompts."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from gpt2sdk import AsyncStream, Delta, GenerationError, Result
from gpt2sdk_serve.call_options import CallOptions
from gpt2sdk_serve.job import ServedJob
from gpt2sdk_serve.log import LOG, one_line
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import ServerState


class TextJob(ServedJob):
    """A request for text on its way.

    Attributes:
        options: How its prompts are continued.
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
        super().__init__(state, served, prompts, timeout)
        self.options = options
        self._seen = False

    @property
    @override
    def cost(self) -> int:
        room = self.options.preset.get("max_new_tokens")
        room = room if isinstance(room, int) else 128
        window = self.served.generator.context_length
        each = zip(self.prompts.tokens, self.options.rows, strict=True)
        places = sum(min(len(tokens) + room, window) * rows for tokens, rows in each)
        return places * self.served.token_bytes

    async def whole(self) -> Result:
        """Run it to its end.

        Raises:
            RequestError: There is no room, or not in time.
            OptionError: The options are wrong.
            ContextOverflowError: A prompt does not fit the window.
            GenerationError: Something raised.
        """
        async with self.admitted():
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
        async with self.admitted():
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
