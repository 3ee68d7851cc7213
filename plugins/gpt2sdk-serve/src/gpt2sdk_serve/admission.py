"""Who may begin: requests wait in line until the memory that they may take is free."""

import asyncio
import math
from collections import deque

import torch

from gpt2sdk import Generator, PortableCache
from gpt2sdk_serve.problem import RequestError


class Admission:
    """Hands out memory in the order in which it was asked for.

    Attributes:
        limit: Bytes there are; `None` for no limit.
        taken: Bytes that requests have been given.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.taken = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._line)

    async def take(self, cost: int) -> None:
        """Wait for so many bytes.

        Raises:
            RequestError: There are never so many.
        """
        if self.limit is not None and cost > self.limit:
            message = (
                f"the request may need {cost / 1e6:.0f} MB for what its rows remember, and the "
                f"server has {self.limit / 1e6:.0f} MB: ask for fewer tokens, prompts or rows"
            )
            raise RequestError(message, param="max_tokens", code="too_large")
        if not self._line and self._fits(cost):
            self.taken += cost
            return
        turn = asyncio.get_running_loop().create_future()
        entry = (cost, turn)
        self._line.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._line:
                self._line.remove(entry)
                self._admit()
            elif turn.done() and not turn.cancelled():
                self.give(cost)
            raise

    def _fits(self, cost: int) -> bool:
        return self.limit is None or self.taken + cost <= self.limit

    def give(self, cost: int) -> None:
        """Give so many bytes back."""
        self.taken -= cost
        self._admit()

    def _admit(self) -> None:
        while self._line and self._fits(self._line[0][0]):
            cost, turn = self._line.popleft()
            if not turn.done():
                self.taken += cost
                turn.set_result(None)


def token_bytes(generator: Generator) -> int:
    """Return how many bytes a token of a row takes in the model's cache; 0 where nobody knows."""
    model = generator.model
    with torch.inference_mode():
        cache = model.make_cache(1)
        model.score(cache, [[0]], [1])
        found = cache.token_nbytes if isinstance(cache, PortableCache) else 0
        cache.fork([])
    return found


def retry_after(seconds: float) -> int:
    """Return after how many seconds somebody who was turned away may ask again.

    It is what requests took lately, and what clients still wait for: 1 to 30.

    >>> retry_after(0.2), retry_after(7.5), retry_after(400.0)
    (1, 8, 30)
    """
    return min(30, max(1, math.ceil(seconds)))
