"""Clients that hang up: what they asked for ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

T = TypeVar("T")


async def hung_up(receive: Receive) -> None:
    """Return when the client hangs up; its body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(
    request: Request, work: Coroutine[Any, Any, T], left: Callable[[], None]
) -> T:
    """Return what some work returns; it is cancelled when the client hangs up.

    Args:
        request: Who asks.
        work: What is done for it.
        left: Told when the client hangs up.

    Raises:
        ClientDisconnect: It has.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(hung_up(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            left()
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)
