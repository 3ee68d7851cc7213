"""`/v1/decisions` and `/v1/scores`: how likely texts are, without writing any."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk import Decision, Score
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.judging_fields import DecisionFields, ScoreFields
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import read_prompts
from gpt2sdk_serve.reading import plain, read_fields
from gpt2sdk_serve.served_model import ServedModel
from gpt2sdk_serve.state import ServerState


async def decisions(request: Request) -> Response:
    """Say which of several options is the likeliest behind each prompt."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, DecisionFields)
    served = state.model(fields.model)
    prompts = await asyncio.to_thread(read_prompts, fields.prompt, served, state.settings)
    several = max(len(fields.options), *(len(each) for each in fields.options), 1)
    if len(prompts.tokens) * several > state.settings.max_rows * 8:
        message = f"there are {several} options for {len(prompts.tokens)} prompts: ask for fewer"
        raise RequestError(message, param="options")
    shared = any(isinstance(each, str) for each in fields.options)
    times = len(prompts.tokens) if shared else 1
    if _size(fields.options) * times > state.settings.max_prompt_tokens:
        message = "the options are too long for so many prompts: ask for less at a time"
        raise RequestError(message, param="options", code="too_large")
    state.check_room()

    def decide() -> Sequence[Decision]:
        return served.generator.choose(
            list(prompts.written), fields.options, normalization=fields.normalization
        )

    async with state.busy(), served.reading:
        made = await asyncio.to_thread(decide)
    data = [_decision(each) for each in made]
    return JSONAnswer(_listed(served, fields.model, data, prompts.count))


def _size(given: object) -> int:
    """How many characters or token ids there are in all."""
    if isinstance(given, str):
        return len(given)
    return sum(map(_size, given)) if isinstance(given, list) else 1


async def scores(request: Request) -> Response:
    """Say how likely texts are."""
    state: ServerState = request.app.state.server
    fields = await read_fields(request, ScoreFields)
    served = state.model(fields.model)
    if fields.top > state.settings.max_logprobs:
        message = f"top is {fields.top}, expected {state.settings.max_logprobs} at most"
        raise RequestError(message, param="top")
    texts = await asyncio.to_thread(read_prompts, fields.text, served, state.settings, "text")
    state.check_room()

    def judge() -> Sequence[Score]:
        return served.generator.score(
            list(texts.written), context=fields.context, bos=fields.bos, top=fields.top
        )

    async with state.busy(), served.reading:
        made = await asyncio.to_thread(judge)
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
