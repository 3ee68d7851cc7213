"""Server-sent events: what is certain is sent at once, and who hangs up ends it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from gpt2sdk_serve.disconnection import hung_up
from gpt2sdk_serve.json_answer import to_json
from gpt2sdk_serve.log import log_failure
from gpt2sdk_serve.problem import problem_of

Chunks = AsyncGenerator[dict[str, Any] | None, None]
"""What is sent, one after another; `None` first, once the request was found to be right."""

_LOG = logging.getLogger("gpt2sdk_serve")


class EventStream(Response):
    """Sends chunks as events.

    The status is sent with the first chunk: what raises before is answered as a usual error.
    """

    media_type = "text/event-stream"

    def __init__(
        self, chunks: Chunks, stall: float, left: Callable[[], None] = lambda: None
    ) -> None:
        """Take what is to be sent.

        Args:
            chunks: The chunks.
            stall: Seconds for which a client may leave what it is sent unread.
            left: Told when the client hangs up.
        """
        super().__init__(
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            media_type=self.media_type,
        )
        del self.headers["content-length"]
        self._chunks = chunks
        self._stall = stall
        self._left = left

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send_all(scope, receive, send))
        gone = asyncio.ensure_future(hung_up(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                self._left()
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            await self._chunks.aclose()

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        try:
            async for chunk in self._chunks:
                if not begun:
                    begun = True
                    await send(self._start())
                if chunk is not None:
                    await self._send(send, chunk)
            await self._write(send, b"data: [DONE]\n\n")
        except TimeoutError:
            self._left()
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            problem = problem_of(error)
            log_failure(problem, error)
            if not begun:
                await problem.response()(scope, receive, send)
                return
            await self._send(send, problem.body())
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _start(self) -> dict[str, Any]:
        return {"type": "http.response.start", "status": 200, "headers": self.raw_headers}

    async def _send(self, send: Send, chunk: dict[str, Any]) -> None:
        await self._write(send, b"data: " + to_json(chunk) + b"\n\n")

    async def _write(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(self._stall):
            await send({"type": "http.response.body", "body": data, "more_body": True})
