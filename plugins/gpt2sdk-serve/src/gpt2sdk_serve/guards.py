"""What stands before every endpoint: who may ask, from where, and what answers carry."""

import hmac
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpt2sdk_serve.log import LOG, log_failure, one_line
from gpt2sdk_serve.problem import RequestError, problem_of
from gpt2sdk_serve.state import ServerState

OPEN_PATHS = frozenset({"/", "/health"})
"""What is answered without a key: the page, which holds nothing, and whether the server lives."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""What does nothing; browsers keep the answers from other sites."""
_DEFAULT_CSP = "default-src 'none'; frame-ancestors 'none'"


class Guard:
    """Checks the host and the key, and counts and logs what is answered."""

    def __init__(self, app: ASGIApp, state: ServerState, open_paths: frozenset[str]) -> None:
        self._app = app
        self._state = state
        self._open = open_paths | OPEN_PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, statuses = time.perf_counter(), [0]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses[0] = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _DEFAULT_CSP)
            await send(message)

        try:
            if problem := self._problem(scope):
                await problem.response()(scope, receive, sent)
            else:
                await self._app(scope, receive, sent)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told that it is
            problem = problem_of(error)
            log_failure(problem, error)
            if not statuses[0]:
                await problem.response()(scope, receive, sent)
        finally:
            self._note(scope, statuses[0], time.perf_counter() - began)

    def _problem(self, scope: Scope) -> RequestError | None:
        """Say what is wrong with who asks."""
        headers = Headers(scope=scope)
        settings = self._state.settings
        if settings.is_local and not is_loopback(headers.get("host", "")):
            message = (
                "the host is another one than this machine's own: ask at 127.0.0.1 or localhost"
            )
            return RequestError(message, status=421, code="wrong_host")
        # A key is nothing that a browser sends by itself.
        if settings.api_key is None and scope["method"] not in _SAFE and is_foreign(headers):
            message = "a page of another site sent this: ask from this server's own, or give a key"
            return RequestError(message, status=403, code="foreign_origin")
        if scope["path"] in self._open or settings.api_key is None:
            return None
        if not is_key(headers.get("authorization", ""), settings.api_key):
            return RequestError(
                "the key is missing or wrong: send it as `Authorization: Bearer …`",
                status=401,
                kind="authentication_error",
                code="invalid_api_key",
            )
        return None

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", "other")
        self._state.metrics.requests.add(path=path, status=str(status or 499))
        LOG.info("%s %s %s %.3f s", scope["method"], one_line(scope["path"], 200), status, seconds)


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine by an address that no other site can point here.

    >>> is_loopback("localhost:8000"), is_loopback("[::1]:80"), is_loopback("evil.example")
    (True, True, False)
    """
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    return name in {"localhost", "127.0.0.1", "::1"}


def is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site's page asks.

    >>> is_foreign(Headers({"host": "localhost:8000", "origin": "https://evil.example"}))
    True
    >>> is_foreign(Headers({"host": "localhost:8000", "origin": "http://localhost:8000"}))
    False
    """
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "").lower()


def is_key(header: str, key: str) -> bool:
    """Whether an Authorization header has the key; it takes as long for a wrong one.

    >>> is_key("Bearer abc", "abc"), is_key("bearer abc", "abc"), is_key("Bearer ab", "abc")
    (True, True, False)
    """
    scheme, _, given = header.partition(" ")
    # Headers are bytes, which the framework reads as latin-1.
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), key.encode())
    return same and scheme.lower() == "bearer"
