"""What requests share: models, settings, counts, and who is running."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, Protocol

from gpt2sdk import Generator, free_memory
from gpt2sdk_serve.admission import Admission, retry_after, token_bytes
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
        distinct = list({id(each): each for each in served.values()}.values())
        for name, generator in served.items():
            known = next(
                (each for each in self.models.values() if each.generator is generator), None
            )
            neighbours = sum(each.device == generator.device for each in distinct)
            self.models[name] = known or self._served(name, generator, neighbours)

    def _served(self, name: str, generator: Generator, neighbours: int) -> ServedModel:
        engine = generator.engine(batch_size=self.settings.batch_size)
        limit = self.settings.memory
        if limit is None:
            limit = free_memory(generator.device) // 2 // neighbours
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
