"""The page at `/`: whatever files lie in the package's folder `page`, and nothing else."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "json": "application/json",
    "woff2": "font/woff2",
}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def page_routes() -> list[Route]:
    """Return a route for each file of the page; `index.html` is at `/`."""
    routes = []
    for file in sorted(files("gpt2sdk_serve").joinpath("page").iterdir(), key=lambda one: one.name):
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is None or not file.is_file():
            continue
        path = "/" if file.name == "index.html" else f"/{file.name}"
        routes.append(Route(path, _serving(file.read_bytes(), kind), methods=["GET"]))
    return routes


def _serving(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_request: Request) -> Response:
        headers = {"Content-Security-Policy": _CSP, "Cache-Control": "no-cache"}
        return Response(content, headers=headers, media_type=kind)

    return serve
