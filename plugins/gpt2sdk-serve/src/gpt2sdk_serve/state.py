"""What requests share: models, settings, counts, and who is running."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Literal, Protocol

from gpt2sdk import Generator
from gpt2sdk_serve.admission import Admission, free_memory, retry_after, token_bytes
from gpt2sdk_serve.metrics import ServerMetrics
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.settings import ServeSettings

Ending = Literal["timeout", "shutdown", "disconnect"]
"""What ends a request early."""


class Endable(Protocol):
    """A request that runs or waits."""

    def end(self, why: Ending) -> None:
        """End early."""


class _Unending:
    """What runs to its end in any case: it takes no longer than a pass or two."""

    def end(self, why: Ending) -> None:
        """Go on."""


class ServerState:
    """What requests share.

    Attributes:
        settings: What the server allows.
        models: What is served, by name; aliases are names of one model.
        metrics: What was done so far.
        running: Requests that run or wait.
        stopping: Whether no new requests are taken.
    """

    def __init__(self, served: Mapping[str, Generator], settings: ServeSettings) -> None:
        self.settings = settings
        self.metrics = ServerMetrics()
        self.running: set[Endable] = set()
        self._idle = asyncio.Event()
        self.stopping = False
        self.models: dict[str, ServedModel] = {}
        for name, generator in served.items():
            known = next(
                (each for each in self.models.values() if each.generator is generator), None
            )
            self.models[name] = known or self._served(name, generator)

    def _served(self, name: str, generator: Generator) -> ServedModel:
        engine = generator.engine(batch_size=self.settings.batch_size)
        limit = self.settings.memory
        if limit is None and (free := free_memory(generator.device)) is not None:
            limit = free // 2
        size = token_bytes(generator)
        return ServedModel(name, generator, engine, Admission(limit), token_bytes=size)

    def model(self, name: str | None) -> ServedModel:
        """Return what is served by a name; the first for none.

        Raises:
            RequestError: There is none.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            known = ", ".join(self.models)
            message = f"there is no model {name:.80}: there are {known}"
            raise RequestError(
                message, status=404, kind="not_found_error", param="model", code="model_not_found"
            )
        return self.models[name]

    @property
    def distinct(self) -> list[ServedModel]:
        """Each model once."""
        return list(dict.fromkeys(self.models.values()))

    def check_room(self) -> None:
        """Turn away who would be one too many.

        Raises:
            RequestError: There are too many, or the server stops.
        """
        if self.stopping:
            message = "the server is stopping: ask another one, or again when it is back"
            raise RequestError(message, status=503, kind="server_error", retry_after=5)
        if len(self.running) >= self.settings.max_queue:
            message = f"{len(self.running)} requests are running or waiting: try again soon"
            raise RequestError(
                message,
                status=429,
                kind="rate_limit_error",
                code="queue_full",
                retry_after=retry_after(self.metrics.duration.mean()),
            )

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Count what reads and does not write among what runs; it cannot be ended early."""
        reading = _Unending()
        self.running.add(reading)
        try:
            yield
        finally:
            self.leave(reading)

    def leave(self, job: Endable) -> None:
        """Forget a request that is over."""
        self.running.discard(job)
        if not self.running:
            self._idle.set()

    async def stop(self, grace: float) -> None:
        """Take no new requests; those that run longer than so many seconds end as they are."""
        self.stopping = True
        self._idle.clear()
        if not self.running:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), grace)
        for job in list(self.running):
            job.end("shutdown")
