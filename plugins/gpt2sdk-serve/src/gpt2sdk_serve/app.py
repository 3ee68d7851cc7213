"""The application: endpoints, and what stands before them."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gpt2sdk import Generator, GPT2SDKError
from gpt2sdk_serve.chats import chat_completions
from gpt2sdk_serve.completions import completions
from gpt2sdk_serve.guards import Guard
from gpt2sdk_serve.judgements import decisions, scores
from gpt2sdk_serve.log import log_failure
from gpt2sdk_serve.openapi import openapi
from gpt2sdk_serve.option_list import options
from gpt2sdk_serve.page_files import page_routes
from gpt2sdk_serve.problem import RequestError, problem_of
from gpt2sdk_serve.settings import ServeSettings
from gpt2sdk_serve.state import ServerState
from gpt2sdk_serve.status import health, metrics, model, models
from gpt2sdk_serve.tokens import detokenize, tokenize, tokenizer_info


def make_app(served: Mapping[str, Generator], settings: ServeSettings) -> Starlette:
    """Return the application that serves models.

    Args:
        served: What is served, by name; several names of one generator are aliases.
        settings: What the server allows.
    """
    state = ServerState(served, settings)
    pages = page_routes()
    routes = [
        Route("/v1/models", models, methods=["GET"]),
        Route("/v1/models/{name:path}", model, methods=["GET"]),
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        Route("/v1/decisions", decisions, methods=["POST"]),
        Route("/v1/scores", scores, methods=["POST"]),
        Route("/tokenize", tokenize, methods=["POST"]),
        Route("/detokenize", detokenize, methods=["POST"]),
        Route("/tokenizer_info", tokenizer_info, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
        Route("/options", options, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        *pages,
    ]
    guard = Middleware(Guard, state=state, open_paths=frozenset(each.path for each in pages))
    app = Starlette(
        routes=routes,
        middleware=[guard],
        exception_handlers={
            HTTPException: _refuse,
            ClientDisconnect: _hung_up,
            RequestError: _explain,
            GPT2SDKError: _explain,
        },
    )
    app.state.server = state
    return app


async def _explain(_request: Request, error: Exception) -> Response:
    """Answer with what went wrong."""
    problem = problem_of(error)
    log_failure(problem, error)
    return problem.response()


async def _hung_up(_request: Request, _error: Exception) -> Response:
    """Answer nobody."""
    return Response(status_code=499)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer what no endpoint was asked for, in the form of all errors."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = {
        404: f"there is no {request.url.path:.80}: /openapi.json lists what there is",
        405: f"{request.method:.20} is not for this path",
        413: "the body is too large",
    }
    headers = getattr(error, "headers", None)
    return RequestError(said.get(status, "this cannot be done"), status=status).response(headers)
