"""The same requests for every contestant: clients that each wait for one answer after another."""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from http_stream import post
from word_tokenizer import prompt_of

IN, OUT = (16, 256), (16, 128)


@dataclass(frozen=True)
class Wanted:
    """A request.

    Attributes:
        prompt: A text.
        tokens: Tokens it has.
        new: Tokens to write.
    """

    prompt: str
    tokens: int
    new: int


@dataclass
class Took:
    """How a request went, in seconds from when its client sent it.

    Attributes:
        first: Until its first token.
        whole: Until its end.
        tokens: Tokens written.
    """

    first: float
    whole: float
    tokens: int


Ask = Callable[[Wanted], Awaitable[Took]]


def requests(count: int, seed: int = 0) -> list[Wanted]:
    """Draw requests: mixed lengths in and out."""
    drawn = random.Random(seed)  # noqa: S311 - lengths, no secrets
    lengths = [(drawn.randint(*IN), drawn.randint(*OUT)) for _ in range(count)]
    return [
        Wanted(prompt_of(tokens, seed=place), tokens, new)
        for place, (tokens, new) in enumerate(lengths)
    ]


async def clients(ask: Ask, wanted: Sequence[Wanted], count: int) -> tuple[float, list[Took]]:
    """Let so many clients take requests from one list; return seconds, and how each went."""
    left = list(reversed(wanted))
    took: list[Took] = []

    async def client() -> None:
        while left:
            took.append(await ask(left.pop()))

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(count)))
    return time.perf_counter() - started, took


def over_http(port: int, model: str | None, more: dict[str, object]) -> Ask:
    """Ask a server for a stream of each request.

    Args:
        port: Its port.
        model: What it calls the model; `None` for nothing.
        more: What else each request has.
    """

    async def ask(wanted: Wanted) -> Took:
        body = {
            "prompt": wanted.prompt,
            "max_tokens": wanted.new,
            "temperature": 0,
            "stream": True,
            **({"model": model} if model else {}),
            **more,
        }
        started, first, reason = time.perf_counter(), None, None
        async with post(port, "/v1/completions", body) as answer:
            if answer.status != 200:
                message = f"the server answered {answer.status}: {await answer.body()!r}"
                raise RuntimeError(message)
            async for event in answer.events():
                for choice in (event or {}).get("choices", ()):
                    if first is None and choice["text"]:
                        first = time.perf_counter() - started
                    reason = choice["finish_reason"] or reason
        whole = time.perf_counter() - started
        if reason != "length":
            message = f"expected {wanted.new} tokens, the text ended with {reason}"
            raise RuntimeError(message)
        return Took(whole if first is None else first, whole, wanted.new)

    return ask


def one_by_one(
    generate: Callable[[Wanted], tuple[float, float]], wanted: Sequence[Wanted], count: int
) -> tuple[float, list[Took]]:
    """Run requests one after another, as they came from so many clients.

    A client sends its next request when the one before is answered, so a request comes when that
    which stands `count` places before it is done.

    Args:
        generate: Runs a request; returns seconds until its first token and in all.
        wanted: The requests.
        count: Clients.
    """
    took: list[Took] = []
    ends: list[float] = []
    clock = 0.0
    for place, each in enumerate(wanted):
        came = ends[place - count] if place >= count else 0.0
        first, whole = generate(each)
        took.append(Took(clock + first - came, clock + whole - came, each.new))
        clock += whole
        ends.append(clock)
    return clock, took


def summary(seconds: float, took: Sequence[Took], worked: float) -> dict[str, float]:
    """Tokens per second, how long clients waited for their first token, and the work.

    Args:
        seconds: How long it took.
        took: How each request went.
        worked: Seconds of processors that it took; on a machine that others use, too, they say more
            than the others.
    """
    tokens = sum(each.tokens for each in took)
    firsts = sorted(each.first for each in took)
    return {
        "requests": len(took),
        "tokens_per_second": tokens / seconds,
        "work_ms_per_token": 1000 * worked / tokens,
        "first_token_p50": statistics.median(firsts),
        "first_token_p95": firsts[min(len(firsts) - 1, int(0.95 * len(firsts)))],
        "seconds": seconds,
    }
