"""`/v1/completions`: texts or token ids are continued."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk_serve.answer import Frame
from gpt2sdk_serve.call_options import read_options
from gpt2sdk_serve.completion_answer import CompletionAnswer
from gpt2sdk_serve.completion_fields import CompletionFields
from gpt2sdk_serve.disconnection import while_connected
from gpt2sdk_serve.echo import read_echoes
from gpt2sdk_serve.event_stream import EventStream
from gpt2sdk_serve.ignored_fields import check_neutral
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import read_prompts
from gpt2sdk_serve.reading import read_fields
from gpt2sdk_serve.settings import ServeSettings
from gpt2sdk_serve.silence import silent, without_text
from gpt2sdk_serve.state import ServerState
from gpt2sdk_serve.text_job import TextJob

DEFAULT_TOKENS = 16
"""What OpenAI takes for `max_tokens` where a request has none."""


async def completions(request: Request) -> Response:
    """Continue prompts."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, CompletionFields)
    served = state.model(fields.model)
    # A text of megabytes takes a while: others go on.
    settings = state.settings
    prompts = await asyncio.to_thread(read_prompts, fields.prompt, served, settings)
    own = _own_options(fields, state.settings)
    count = len(prompts.tokens)
    options = await asyncio.to_thread(
        read_options, fields, served.generator, state.settings, own, count
    )
    job = TextJob(state, served, prompts, options, fields.timeout)
    frame = Frame("text_completion", "cmpl", fields.model or served.name, served.fingerprint)
    left = partial(job.end, "disconnect")
    if fields.stream:
        chunks = _stream(fields, job, frame)
        return EventStream(chunks, state.settings.stall, left)
    return JSONAnswer(await while_connected(request, _whole(fields, job, frame), left))


async def _whole(fields: CompletionFields, job: TextJob, frame: Frame) -> dict[str, Any]:
    """Return the whole answer."""
    if fields.echo and fields.logprobs is not None:
        async with job.stream() as stream:
            answer = await _answer(fields, job, frame)
            async for _ in stream:
                pass
            result = stream.result
    else:
        answer = await _answer(fields, job, frame)
        result = await job.whole()
    return answer.body(result if fields.max_tokens != 0 else without_text(result))


async def _stream(
    fields: CompletionFields, job: TextJob, frame: Frame
) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Yield the answer chunk by chunk."""
    async with job.stream() as stream:
        answer = await _answer(fields, job, frame)
        yield None
        async for delta in stream:
            job.see(delta)
            if fields.max_tokens != 0:
                yield answer.chunk(delta)
            elif delta.completion is not None:
                yield answer.chunk(silent(delta))
        if answer.has_last_chunk:
            result = stream.result
            yield answer.last_chunk(result if fields.max_tokens != 0 else without_text(result))


async def _answer(fields: CompletionFields, job: TextJob, frame: Frame) -> CompletionAnswer:
    echoes = await read_echoes(job, fields.logprobs) if fields.echo else []
    return CompletionAnswer(frame, fields, job, echoes)


def _own_options(fields: CompletionFields, settings: ServeSettings) -> dict[str, object]:
    """Return the options that fields of this endpoint say.

    Raises:
        RequestError: One of them is more than the server allows, or they contradict each other.
    """
    check_neutral("suffix", fields.suffix)
    wanted = DEFAULT_TOKENS if fields.max_tokens is None else fields.max_tokens
    if not wanted and not fields.echo:
        message = "max_tokens is 0, expected 1 or more; 0 is for prompts that are echoed"
        raise RequestError(message, param="max_tokens")
    if fields.logprobs is not None and fields.logprobs > settings.max_logprobs:
        message = f"logprobs is {fields.logprobs}, expected {settings.max_logprobs} at most"
        raise RequestError(message, param="logprobs")
    count = fields.n or 1
    several = fields.best_of or count
    if several < count:
        message = f"best_of is {several}, expected n or more, which is {count}"
        raise RequestError(message, param="best_of")
    if several > count and fields.stream:
        message = "best_of cannot be streamed: which are the best is known at the end"
        raise RequestError(message, param="best_of")
    if wanted > settings.max_new_tokens:
        message = f"max_tokens is {wanted}, expected {settings.max_new_tokens} at most"
        raise RequestError(message, param="max_tokens")
    own: dict[str, object] = {
        "max_new_tokens": max(wanted, 1),
        "num_return_sequences": several,
    }
    logprobs = 0 if fields.logprobs is None and several > count else fields.logprobs
    return own if logprobs is None else {**own, "logprobs": logprobs}
