"""`/v1/chat/completions`: chats are answered, where a template says how they are written."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk_serve.answer import Frame
from gpt2sdk_serve.call_options import read_options
from gpt2sdk_serve.chat_answer import ChatAnswer
from gpt2sdk_serve.chat_fields import ChatFields
from gpt2sdk_serve.disconnection import while_connected
from gpt2sdk_serve.event_stream import EventStream
from gpt2sdk_serve.ignored_fields import check_neutral
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.messages import read_messages
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.reading import read_fields
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.settings import ServeSettings
from gpt2sdk_serve.state import ServerState
from gpt2sdk_serve.text_job import TextJob


async def chat_completions(request: Request) -> Response:
    """Answer a chat."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, ChatFields)
    served = state.model(fields.model)
    check_neutral("tool_choice", fields.tool_choice)
    tokens = await asyncio.to_thread(write_prompt, fields, served, state.settings)
    prompts = Prompts((tokens,), (tuple(tokens),), single=True)
    own = _own_options(fields, state.settings, served, len(tokens))
    options = await asyncio.to_thread(read_options, fields, served.generator, state.settings, own)
    job = TextJob(state, served, prompts, options, fields.timeout)
    kind = "chat.completion.chunk" if fields.stream else "chat.completion"
    frame = Frame(kind, "chatcmpl", fields.model or served.name, served.fingerprint)
    answer = ChatAnswer(frame, fields, job)
    left = partial(job.end, "disconnect")
    if fields.stream:
        chunks = _stream(job, answer)
        return EventStream(chunks, state.settings.stall, left)
    return JSONAnswer(await while_connected(request, _whole(job, answer), left))


def write_prompt(fields: ChatFields, served: ServedModel, settings: ServeSettings) -> list[int]:
    """Return the tokens of a chat.

    Raises:
        RequestError: There is no template.
        OptionError: The template refuses the messages.
    """
    if settings.chat_template is None and not served.has_chat_template:
        message = (
            f"{served.name} has no chat template, so nobody can say how its chats are written: "
            "start the server with --chat-template FILE, or write the prompt yourself and send it "
            "to /v1/completions"
        )
        raise RequestError(message, param="messages", code="no_chat_template")
    begins = fields.add_generation_prompt
    return served.generator.chat_prompt(
        read_messages(fields.messages),
        add_generation_prompt=True if begins is None else begins,
        continue_final_message=bool(fields.continue_final_message),
        chat_template=settings.chat_template,
        tools=fields.tools or None,
        documents=fields.documents or None,
        chat_template_kwargs=fields.chat_template_kwargs,
    )


async def _whole(job: TextJob, answer: ChatAnswer) -> dict[str, Any]:
    return answer.body(await job.whole())


async def _stream(job: TextJob, answer: ChatAnswer) -> AsyncGenerator[dict[str, Any] | None, None]:
    async with job.stream() as stream:
        yield None
        for chunk in answer.first_chunks():
            yield chunk
        async for delta in stream:
            job.see(delta)
            for chunk in answer.chunks(delta):
                yield chunk
        if answer.has_last_chunk:
            yield answer.last_chunk(stream.result)


def _own_options(
    fields: ChatFields, settings: ServeSettings, served: ServedModel, used: int
) -> dict[str, object]:
    """Return the options that fields of this endpoint say.

    Raises:
        RequestError: One of them is more than the server allows, or they contradict each other.
    """
    wanted = fields.max_completion_tokens or fields.max_tokens
    if wanted is not None and wanted > settings.max_new_tokens:
        message = f"max_completion_tokens is {wanted}, expected {settings.max_new_tokens} at most"
        raise RequestError(message, param="max_completion_tokens")
    if fields.top_logprobs is not None and not fields.logprobs:
        message = "top_logprobs is given without logprobs: set logprobs to true as well"
        raise RequestError(message, param="top_logprobs")
    if (fields.top_logprobs or 0) > settings.max_logprobs:
        message = f"top_logprobs is {fields.top_logprobs}, expected {settings.max_logprobs} at most"
        raise RequestError(message, param="top_logprobs")
    fitting = max(1, served.generator.context_length + 1 - used)
    own: dict[str, object] = {
        "max_new_tokens": wanted or min(fitting, settings.max_new_tokens),
        "num_return_sequences": fields.n or 1,
    }
    return {**own, "logprobs": fields.top_logprobs or 0} if fields.logprobs else own
