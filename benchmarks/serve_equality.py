"""Answers over HTTP beside the calls they stand for, while clients load the server."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from http_stream import post
from serve_cases import ServeCase, serve_case

from gpt2sdk import Generator


@dataclass
class Got:
    """What a client was answered.

    Attributes:
        case: What it asked.
        texts: The text of each completion, as far as it was read.
        status: The HTTP status.
        error: What the server said went wrong.
        whole: Whether it was read to its end.
    """

    case: ServeCase
    texts: dict[int, str] = field(default_factory=dict)
    status: int = 0
    error: str = ""
    whole: bool = False


async def answer_of(port: int, case: ServeCase) -> Got:
    """Ask once, and hang up where the case says so."""
    got = Got(case)
    async with post(port, "/v1/completions", case.body) as answer:
        got.status = answer.status
        if answer.status != 200 or not case.stream:
            whole = await answer.json()
            got.error = str(whole.get("error", ""))
            got.texts = {each["index"]: each["text"] for each in whole.get("choices", ())}
            got.whole = not got.error
            return got
        ended = Counter[int]()
        async for count, event in _numbered(answer.events()):
            if event is None:
                got.whole = not got.error
            elif "error" in event:
                got.error = str(event["error"])
            else:
                for choice in event["choices"]:
                    got.texts[choice["index"]] = got.texts.get(choice["index"], "") + choice["text"]
                    ended[choice["index"]] += choice["finish_reason"] is not None
            if case.cut is not None and count >= case.cut:
                break
        if got.whole and set(ended.values()) != {1}:
            got.error = f"completions ended so often: {dict(ended)}"
    return got


async def _numbered(events: object) -> object:
    count = 0
    async for event in events:
        count += 1
        yield count, event


async def answers(
    port: int, numbers: Iterable[int], clients: int, take: Callable[[Got], None]
) -> None:
    """Let clients ask the cases of these numbers, and hand on what each was answered."""
    left = iter(numbers)

    async def client() -> None:
        for number in left:
            take(await answer_of(port, serve_case(number)))

    await asyncio.gather(*(client() for _ in range(clients)))


def differs(got: Got, generator: Generator) -> str:
    """Say how an answer differs from its call; nothing where it does not.

    One that was cut off has to be how the call's begins.
    """
    if got.error:
        return got.error
    expected = got.case.expected(generator).texts
    if got.whole:
        found = [got.texts[place] for place in sorted(got.texts)]
        return "" if found == list(expected) else f"{found} in place of {list(expected)}"
    wrong = [text for place, text in got.texts.items() if not expected[place].startswith(text)]
    return f"{wrong} does not begin {list(expected)}" if wrong else ""
