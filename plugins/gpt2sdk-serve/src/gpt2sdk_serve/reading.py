"""From bytes to a request whose fields have been checked."""

import asyncio
import json
import math
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.settings import ServeSettings

M = TypeVar("M", bound=BaseModel)

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


async def read_fields(request: Request, model: type[M]) -> M:
    """Read the body of a request.

    Raises:
        RequestError: It is no JSON object, too large or too slow, or a field is wrong or missing.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if not kind.lower().endswith(("/json", "+json")):
        message = f"the body is {kind:.60}: send Content-Type: application/json (curl --json does)"
        raise RequestError(message, status=415, code="no_json")
    settings: ServeSettings = request.app.state.server.settings
    try:
        async with asyncio.timeout(settings.stall):
            body = await _read(request, settings.max_body)
    except TimeoutError:
        message = f"the body did not arrive within {settings.stall:g} s"
        raise RequestError(message, status=408, code="too_slow") from None
    return fields_of(parse_body(body), model)


async def _read(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most:
            message = f"the body is larger than {most} bytes, which is what the server reads"
            raise RequestError(message, status=413, code="too_large")
    return b"".join(parts)


def parse_body(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        RequestError: It is something else. What JSON has no numbers for, `NaN`, is refused, too.

    >>> parse_body(b'{"prompt": "Once"}')
    {'prompt': 'Once'}
    """
    try:
        found = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        message = f"the body is no JSON: {error}"
        raise RequestError(message[:300], code="invalid_json") from None
    if not isinstance(found, dict):
        kind = "null" if found is None else _KINDS.get(type(found), "a number")
        message = f"the body is {kind}, expected a JSON object with the fields of a request"
        raise RequestError(message, code="invalid_json")
    return found


def fields_of(found: dict[str, Any], model: type[M]) -> M:
    """Return fields that were checked.

    Raises:
        RequestError: A field is wrong or missing; the message names the first.
    """
    try:
        return model.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(each) for each in first["loc"])
        if first["type"] == "missing":
            raise RequestError(f"{place} is missing", param=place, code="missing") from None
        given = json.dumps(first["input"], default=str)
        message = f"{place} is {given:.60}: {first['msg'].removeprefix('Value error, ')}"
        raise RequestError(message, param=place or None, code=first["type"]) from None


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits:.30} is too large a number")
    return number


def plain(number: float | None) -> float | None:
    """Return a log-probability as JSON can have it.

    What nothing had scored is null, and what cannot come is -9999, as OpenAI has it.

    >>> plain(-0.5), plain(math.nan), plain(-math.inf)
    (-0.5, None, -9999.0)
    """
    if number is None or math.isnan(number):
        return None
    return max(number, -9999.0)
