"""Calls for asyncio: those of one generator share an engine, which runs beside the event loop."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping

from gpt2sdk.components.call_record import CallRecord
from gpt2sdk.components.records import Result
from gpt2sdk.generator.async_stream import AsyncStream
from gpt2sdk.generator.call import Call
from gpt2sdk.generator.prefix_holder import PrefixHolder
from gpt2sdk.generator.prompt_words import asking_for_a_prompt
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.session.engine import Engine


class Awaited(PrefixHolder, ABC):
    """Answers callers that wait in event loops, any number of them at a time."""

    # A child of fork() has none of its parent's threads, and nothing to do with its calls.
    _shared: tuple[int, Engine] | None = None

    @asking_for_a_prompt
    async def agenerate(
        self,
        prompt: PromptInput,
        *,
        cancel: threading.Event | None = None,
        engine: Engine | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Result:
        """Continue prompts while other tasks go on, and return everything at once.

        Calls that run at the same time share the passes of the model; each result is what it would
        be alone. Where the awaiting task is cancelled, so is the call; `cancel` ends it early, and
        returns what was made.

        Args:
            prompt: As for `generate`.
            cancel: As for `generate`.
            engine: What runs it; by default one that all such calls of this generator share.
            config: As for `generate`.
            options: As for `generate`, except `batch_size`, which is the engine's.

        Raises:
            OptionError: As for `generate`.
            ContextOverflowError: Likewise.
            GenerationError: Likewise.
        """
        stream = self._awaited(prompt, options, config, cancel, engine, streaming=False)
        async with stream:
            async for _ in stream:
                pass
        return stream.result

    @asking_for_a_prompt
    def astream(
        self,
        prompt: PromptInput,
        *,
        cancel: threading.Event | None = None,
        engine: Engine | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> AsyncStream:
        """Continue prompts and yield deltas as their text becomes certain, while other tasks go on.

        What is wrong with the call is raised by the first delta that is asked for, or where the
        stream is entered: `async with gen.astream("…") as stream:`.

        Args:
            prompt: As for `generate`.
            cancel: As for `generate`; `AsyncStream.cancel()` does the same.
            engine: As for `agenerate`.
            config: As for `generate`.
            options: As for `agenerate`.
        """
        return self._awaited(prompt, options, config, cancel, engine, streaming=True)

    @abstractmethod
    def _call(
        self,
        prompt: PromptInput,
        options: dict[str, object],
        config: object,
        cancel: threading.Event,
        engine: Engine | None,
        *,
        streaming: bool,
    ) -> Call:
        """Return a call that is to be submitted; its options and prompts are checked."""

    def _awaited(
        self,
        prompt: PromptInput,
        options: dict[str, object],
        config: object,
        cancel: threading.Event | None,
        engine: Engine | None,
        *,
        streaming: bool,
    ) -> AsyncStream:
        cancel = cancel or threading.Event()
        runs = self._shared_engine() if engine is None else engine

        def begin() -> Call:
            return self._call(prompt, options, config, cancel, runs, streaming=streaming)

        return AsyncStream(begin, runs, cancel)

    def _shared_engine(self) -> Engine:
        """Return the engine of all calls that name none."""
        found = self._shared
        if found is None or found[0] != os.getpid() or found[1].model is not self.model:
            found = self._shared = os.getpid(), self.engine()
        return found[1]
