"""`/openapi.json`: what there is, made of the classes that read requests."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk import __version__
from gpt2sdk_serve.answer_models import (
    ChatBody,
    CompletionBody,
    DecisionsBody,
    DetokenizeBody,
    ErrorBody,
    HealthBody,
    ModelBody,
    ModelsBody,
    OptionsBody,
    ScoresBody,
    TokenizeBody,
    TokenizerBody,
)
from gpt2sdk_serve.chat_fields import ChatFields
from gpt2sdk_serve.completion_fields import CompletionFields
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.judging_fields import DecisionFields, ScoreFields
from gpt2sdk_serve.token_fields import DetokenizeFields, TokenizeFields

Mode = Literal["validation", "serialization"]

_POSTS: Mapping[str, tuple[str, type[BaseModel], type[BaseModel]]] = {
    "/v1/completions": ("Continue prompts.", CompletionFields, CompletionBody),
    "/v1/chat/completions": ("Answer a chat.", ChatFields, ChatBody),
    "/v1/decisions": ("Choose among options.", DecisionFields, DecisionsBody),
    "/v1/scores": ("Say how likely texts are.", ScoreFields, ScoresBody),
    "/tokenize": ("Cut a text into tokens.", TokenizeFields, TokenizeBody),
    "/detokenize": ("Put tokens together.", DetokenizeFields, DetokenizeBody),
}
_GETS: Mapping[str, tuple[str, type[BaseModel]]] = {
    "/v1/models": ("List the models.", ModelsBody),
    "/v1/models/{name}": ("Describe a model.", ModelBody),
    "/options": ("List the options of all components.", OptionsBody),
    "/tokenizer_info": ("Describe the tokenizer.", TokenizerBody),
    "/health": ("Say whether requests are taken.", HealthBody),
}
_STREAMED = frozenset({"/v1/completions", "/v1/chat/completions"})
_ERRORS = {
    "400": "The request is wrong.",
    "401": "The key is missing or wrong.",
    "403": "A page of another site asks.",
    "404": "There is no such model.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "415": "The body is said to be no JSON.",
    "421": "The host is another one.",
    "429": "Too many requests: try again after `Retry-After` seconds.",
    "500": "A component raised.",
    "503": "The server is stopping, or there was no room in time.",
}


async def openapi(_request: Request) -> Response:
    """Describe what there is."""
    return JSONAnswer(document())


@cache
def document() -> dict[str, Any]:
    """Return the whole description."""
    bodies: list[type[BaseModel]] = [body for _, body in _GETS.values()]
    bodies += [body for _, _, body in _POSTS.values()]
    requests: list[type[BaseModel]] = [wanted for _, wanted, _ in _POSTS.values()]
    bodies.append(ErrorBody)
    answered: list[tuple[type[BaseModel], Mode]] = [(body, "serialization") for body in bodies]
    asked: list[tuple[type[BaseModel], Mode]] = [(each, "validation") for each in requests]
    known, definitions = models_json_schema(
        [*answered, *asked], ref_template="#/components/schemas/{model}"
    )
    schemas = {model: schema for (model, _), schema in known.items()}
    error = _content("application/json", schemas[ErrorBody])
    failures = {status: {"description": text, "content": error} for status, text in _ERRORS.items()}
    paths: dict[str, Any] = {}
    for path, (summary, wanted, body) in _POSTS.items():
        paths[path] = {"post": _post(path, summary, schemas[wanted], schemas[body], failures)}
    for path, (summary, body) in _GETS.items():
        paths[path] = {"get": _get(path, summary, schemas[body], failures)}
    paths["/metrics"] = {"get": _metrics(failures)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "gpt2sdk-serve", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _post(
    path: str,
    summary: str,
    wanted: Mapping[str, Any],
    body: Mapping[str, Any],
    failures: Mapping[str, Any],
) -> dict[str, Any]:
    answer = _content("application/json", body)
    if path in _STREAMED:
        answer |= _content("text/event-stream", {"type": "string"})
    return {
        "summary": summary,
        "operationId": path.removeprefix("/v1").strip("/").replace("/", "_"),
        "requestBody": {"required": True, "content": _content("application/json", wanted)},
        "responses": {"200": {"description": "The answer.", "content": answer}, **failures},
    }


def _get(
    path: str, summary: str, body: Mapping[str, Any], failures: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": _content("application/json", body)},
            **failures,
        },
    }
    if "{name}" in path:
        found["parameters"] = [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    elif path in ("/options", "/tokenizer_info"):
        found["parameters"] = [
            {"name": "model", "in": "query", "required": False, "schema": {"type": "string"}}
        ]
    return found


def _metrics(failures: Mapping[str, Any]) -> dict[str, Any]:
    text = _content("text/plain; version=0.0.4", {"type": "string"})
    said = {"200": {"description": "Counts, for Prometheus.", "content": text}, **failures}
    return {"summary": "Say what was done so far.", "responses": said}


def _content(kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": dict(schema)}}
