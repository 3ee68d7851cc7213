"""A small HTTP/1.1 client for streams of events: it costs little beside the server it measures."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """An answer whose head was read.

    Attributes:
        status: The HTTP status.
        headers: In lower case.
        reader: Where the body comes from.
        writer: Whom to close.
    """

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            EOFError: It was cut off.
        """
        if "content-length" in self.headers:
            yield await self.reader.readexactly(int(self.headers["content-length"]))
            return
        if self.headers.get("transfer-encoding") != "chunked":
            while found := await self.reader.read(65536):
                yield found
            return
        while size := int((await self.reader.readline()).split(b";")[0] or b"-1", 16):
            if size < 0:
                message = "the answer was cut off"
                raise EOFError(message)
            yield (await self.reader.readexactly(size + 2))[:-2]

    async def events(self) -> AsyncIterator[dict[str, Any] | None]:
        """Yield each event's data, and `None` for `[DONE]`."""
        rest = b""
        async for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    data = line[5:].strip()
                    yield None if data == b"[DONE]" else json.loads(data)

    async def body(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def json(self) -> dict[str, Any]:
        """The whole body, read as JSON."""
        found: dict[str, Any] = json.loads(await self.body())
        return found


@asynccontextmanager
async def post(port: int, path: str, body: object) -> AsyncIterator[Answer]:
    """Send a request to a port of this machine; leaving closes the connection.

    Args:
        port: Where.
        path: Such as `/v1/completions`.
        body: What is sent: bytes as they are, anything else as JSON.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        first = (await reader.readline()).split()
        if len(first) < 2:
            message = "the server closed the connection without an answer"
            raise EOFError(message)
        headers = {}
        while line := (await reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip().lower()
        yield Answer(int(first[1]), headers, reader, writer)
    finally:
        writer.close()


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of a page."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body
