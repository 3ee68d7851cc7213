"""`/v1/decisions` and `/v1/scores`: how likely texts are, without writing any."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk import Decision, Score
from gpt2sdk_serve.disconnection import while_connected
from gpt2sdk_serve.job import ServedJob
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.judging_fields import DecisionFields, ScoreFields
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import read_prompts
from gpt2sdk_serve.reading import plain, read_fields
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import ServerState

T = TypeVar("T")


async def decisions(request: Request) -> Response:
    """Say which of several options is the likeliest behind each prompt."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, DecisionFields)
    served = state.model(fields.model)
    # A text of megabytes takes a while: others go on.
    prompts = await asyncio.to_thread(read_prompts, fields.prompt, served, state.settings)
    count, limit = _count(fields.options, len(prompts.tokens)), state.settings.max_rows * 8
    if count > limit:
        message = f"there are {count} options of all prompts, expected {limit} at most"
        raise RequestError(message, param="options")
    shared = any(isinstance(each, str) or _are_ids(each) for each in fields.options)
    size = _size(fields.options) * (len(prompts.tokens) if shared else 1)
    if size > state.settings.max_prompt_tokens:
        message = "the options are too long for so many prompts: ask for less at a time"
        raise RequestError(message, param="options", code="too_large")

    def decide(cancel: threading.Event) -> Sequence[Decision]:
        return served.generator.choose(
            list(prompts.written),
            fields.options,
            normalization=fields.normalization,
            cancel=cancel,
        )

    job = ServedJob(state, served, prompts)
    made = await while_connected(request, _done(job, decide), partial(job.end, "disconnect"))
    data = [_decision(each) for each in made]
    return JSONAnswer(_listed(served, fields.model, data, prompts.count))


def _size(given: object) -> int:
    """How many characters or token ids there are in all."""
    if isinstance(given, str):
        return len(given)
    return sum(map(_size, given)) if isinstance(given, list) else 1


def _count(options: Sequence[str | list[int] | list[str | list[int]]], prompts: int) -> int:
    """Return how many options there are, of all prompts.

    They are one list for all prompts, of texts or token ids; or one such list for each.

    >>> _count([" a", [3, 4, 5]], 2), _count([[" a", " b"], [[3, 4, 5]]], 2)
    (4, 3)
    """
    lists = [each for each in options if not isinstance(each, str) and not _are_ids(each)]
    return sum(map(len, lists)) if lists else len(options) * prompts


def _are_ids(option: list[int] | list[str | list[int]]) -> bool:
    return all(isinstance(each, int) for each in option)


async def _done(job: ServedJob, work: Callable[[threading.Event], Sequence[T]]) -> Sequence[T]:
    """Score texts, as any request is done."""
    async with job.admitted():
        return await job.read(work)


async def scores(request: Request) -> Response:
    """Say how likely texts are."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, ScoreFields)
    served = state.model(fields.model)
    if fields.top > state.settings.max_logprobs:
        message = f"top is {fields.top}, expected {state.settings.max_logprobs} at most"
        raise RequestError(message, param="top")
    texts = await asyncio.to_thread(read_prompts, fields.text, served, state.settings, "text")

    def judge(cancel: threading.Event) -> Sequence[Score]:
        return served.generator.score(
            list(texts.written),
            context=fields.context,
            bos=fields.bos,
            top=fields.top,
            cancel=cancel,
        )

    job = ServedJob(state, served, texts)
    made = await while_connected(request, _done(job, judge), partial(job.end, "disconnect"))
    data = [_score(index, each, served) for index, each in enumerate(made)]
    return JSONAnswer(_listed(served, fields.model, data, texts.count))


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "index": decision.prompt_index,
        "best": decision.best,
        "best_index": decision.index,
        "options": [
            {"text": text, "logprob": plain(logprob), "score": plain(score), "probability": chance}
            for text, logprob, score, chance in zip(
                decision.options,
                decision.logprobs,
                decision.scores,
                decision.probabilities,
                strict=True,
            )
        ],
    }


def _score(index: int, score: Score, served: ServedModel) -> dict[str, Any]:
    said: dict[str, Any] = {
        "index": index,
        "tokens": list(score.tokens),
        "texts": list(score.texts),
        "logprobs": [plain(each) for each in score.logprobs],
        "token_count": score.token_count,
        "bits": _finite(score.bits),
        "perplexity": _finite(score.perplexity),
        "bits_per_byte": _finite(score.bits_per_byte),
        "greedy": score.greedy,
    }
    if score.top_logprobs:
        said["top_logprobs"] = [
            {served.words.name(token): plain(number) for token, number in top}
            for top in score.top_logprobs
        ]
    return said


def _finite(number: float) -> float | None:
    """Return a number as JSON can have it: what is infinite is null."""
    return number if abs(number) < float("inf") else None


def _listed(
    served: ServedModel, name: str | None, data: Sequence[dict[str, Any]], tokens: int
) -> dict[str, Any]:
    return {
        "object": "list",
        "model": name or served.name,
        "system_fingerprint": served.fingerprint,
        "data": list(data),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
