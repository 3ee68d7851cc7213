"""What the server says of itself: models, health and counts."""

from collections.abc import Callable, Iterable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.metrics import Labels, exposed
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import ServerState


async def models(request: Request) -> Response:
    """List what is served."""
    state: ServerState = request.app.state.server
    data = [_listed(state, served, name) for name, served in state.models.items()]
    return JSONAnswer({"object": "list", "data": data})


async def model(request: Request) -> Response:
    """Say what is served by a name."""
    state: ServerState = request.app.state.server
    name = request.path_params["name"]
    return JSONAnswer(_listed(state, state.model(name), name))


def _listed(state: ServerState, served: ServedModel, name: str) -> dict[str, object]:
    """Return what is said of a model; a template of the server's is one for each."""
    listed = served.as_listed(name)
    chats = state.settings.chat_template is not None
    return {**listed, "has_chat_template": chats or listed["has_chat_template"]}


async def health(request: Request) -> Response:
    """Say whether requests are taken."""
    state: ServerState = request.app.state.server
    if state.stopping:
        return JSONAnswer({"status": "stopping"}, 503)
    return JSONAnswer({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Say what was done so far, for Prometheus."""
    state: ServerState = request.app.state.server
    lines = [*state.metrics.lines(), *_present(state)]
    return PlainTextResponse("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4")


def _present(state: ServerState) -> Iterable[str]:
    """Yield what is so at present."""
    running: dict[Labels, int] = {(): len(state.running)}
    yield from exposed("gpt2sdk_requests", "gauge", "Requests that run or wait.", running)
    for name, kind, description, of in _OF_MODELS:
        values: dict[Labels, int] = {(("model", each.name),): of(each) for each in state.distinct}
        yield from exposed(f"gpt2sdk_{name}", kind, description, values)


_OF_MODELS: Sequence[tuple[str, str, str, Callable[[ServedModel], int]]] = (
    (
        "requests_waiting",
        "gauge",
        "Requests that wait for memory.",
        lambda served: served.admission.waiting,
    ),
    ("rows", "gauge", "Rows that are running.", lambda served: served.engine.rows),
    ("rows_waiting", "gauge", "Rows that wait for room.", lambda served: served.engine.waiting),
    ("memory_bytes", "gauge", "Memory given to requests.", lambda served: served.admission.taken),
    (
        "prefix_cache_hits_total",
        "counter",
        "Prompts that went on from what was read before.",
        lambda served: served.generator.cache_info().hits,
    ),
    (
        "prefix_cache_misses_total",
        "counter",
        "Prompts that were read from their beginning.",
        lambda served: served.generator.cache_info().misses,
    ),
    (
        "prefix_cache_saved_tokens_total",
        "counter",
        "Tokens that were not read again.",
        lambda served: served.generator.cache_info().tokens_saved,
    ),
)
