"""The server itself: it listens, and when it is told to stop, what runs is finished first."""

import asyncio
import math
import socket
from types import FrameType
from typing import cast

import uvicorn
from starlette.applications import Starlette
from typing_extensions import override

from gpt2sdk_serve.settings import ServeSettings
from gpt2sdk_serve.state import ServerState

_LAST = 60.0
"""Seconds for which answers that were cut off may still be sent; a second signal stops at once."""


class GracefulServer(uvicorn.Server):
    """Takes no new requests once it is told to stop, and finishes those that run.

    Those that need longer than the settings' `grace` end as they are, and are answered with what
    they had made. Told twice, it stops at once.
    """

    def __init__(self, app: Starlette, settings: ServeSettings) -> None:
        """Prepare to serve.

        Args:
            app: What `make_app` returned.
            settings: What it was given.
        """
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=math.ceil(settings.grace + _LAST),
        )
        super().__init__(config)
        self._state = cast("ServerState", app.state.server)
        self._grace = settings.grace

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        stopping = asyncio.ensure_future(self._state.stop(self._grace))
        await super().shutdown(sockets)
        await stopping


def listening(settings: ServeSettings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises:
        OSError: The port is taken, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
