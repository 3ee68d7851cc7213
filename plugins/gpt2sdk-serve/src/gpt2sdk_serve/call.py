"""A call on its way: deltas as they become certain, on the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gpt2sdk import Delta, Generator, Result


class LiveStream:
    """Deltas of a call that a thread runs."""

    def __init__(self, stream: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._queue: asyncio.Queue[object] = asyncio.Queue()
        self._loop = loop
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _put(self, item: object) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    def _run(self) -> None:
        try:
            for delta in self._stream:
                self._put(delta)
            self._put(None)
        except Exception as error:
            self._put(error)

    @property
    def result(self) -> Result:
        return self._stream.result

    def cancel(self) -> None:
        self._stream.cancel()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        while (item := await self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item


@asynccontextmanager
async def live(
    generator: Generator, prompt: Any, config: Mapping[str, object], engine: Any
) -> AsyncIterator[LiveStream]:
    """Open a stream; leaving ends its rows."""
    stream = await asyncio.to_thread(generator.stream, prompt, engine=engine, config=config)
    alive = LiveStream(stream, asyncio.get_running_loop())
    alive.thread.start()
    try:
        yield alive
    finally:
        stream.cancel()
