"""Clients that behave as the worst do: they stall, hang up, send rubbish, and ask what fails."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from http_stream import Answer, get, post
from serve_cases import ServeCase, serve_case

from gpt2sdk import Generator

FAULT = {"soak_fault": 0.03}
RUBBISH: tuple[object, ...] = (
    b"\x00\xff\xfe{{{",
    b'{"prompt": "Once", ',
    b"[]",
    b'"Once"',
    {"prompt": "Once", "no_such_option": 1},
    {"prompt": "Once", "gpt2sdk": {"min_p": "much"}},
    {"prompt": "Once", "temperature": -1},
    {"prompt": "Once", "max_tokens": 10**9, "n": 10**9},
    {"prompt": "Once", "gpt2sdk": {"strategy": "os.system"}},
    {"prompt": "Once", "gpt2sdk": {"stop_regex": ["(a+)+b"]}},
    {"prompt": [], "stream": True},
    {"prompt": "a" * 200_000},
    {"model": "none", "prompt": "Once"},
    b'{"prompt": "' + b"a" * (5 * 2**20) + b'"}',
    b"[" * 20_000,
)
PATIENCE = 240.0
"""Seconds after which an answer is given up: on a machine that others use, steps take long."""
MANY = 2**20
"""Bytes that are many for a request."""
RAW = (
    b"\x16\x03\x01\x00\xa5\x01",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/completions\r\n",
    b"\n" * 99,
)


@dataclass
class Tally:
    """What clients saw.

    Attributes:
        seen: How often each kind of answer.
        wrong: What ought not to have been.
        ids: The id of each answer.
    """

    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def blame(self, what: str, about: object) -> None:
        """Note what ought not to have been."""
        self.seen["wrong"] += 1
        if len(self.wrong) < 20:
            self.wrong.append(f"{what}: {about!r:.300}")


class Crowd:
    """Clients that choose what to do at random."""

    def __init__(self, port: int, generator: Generator, seed: int, cases: int) -> None:
        self.port = port
        self.tally = Tally()
        self._drawn = random.Random(seed)  # noqa: S311 - what clients do, no secret
        self._cases = [serve_case(number) for number in range(cases)]
        self._expected = [case.expected(generator).texts for case in self._cases]
        self._steadfast = [
            place
            for place, case in enumerate(self._cases)
            if case.options.get("strategy") not in ("metropolis_hastings", "smc")
        ]
        self._ways: Mapping[Callable[[], Awaitable[None]], int] = {
            self._whole: 40,
            self._slow: 10,
            self._hang_up: 15,
            self._hang_up_at_once: 10,
            self._half: 5,
            self._rubbish: 15,
            self._raw: 5,
            self._failing: 15,
            self._look: 5,
        }

    async def run(self, seconds: float, clients: int) -> None:
        """Let so many of them come and go for so long."""
        until = asyncio.get_running_loop().time() + seconds

        async def client() -> None:
            while asyncio.get_running_loop().time() < until:
                (way,) = self._drawn.choices([*self._ways], [*self._ways.values()])
                try:
                    async with asyncio.timeout(PATIENCE):
                        await way()
                except TimeoutError:
                    self.tally.blame(f"no end in {PATIENCE:.0f} seconds", way.__name__)
                except (OSError, EOFError) as error:
                    self.tally.blame(f"{type(error).__name__}: {error}", way.__name__)

        await asyncio.gather(*(client() for _ in range(clients)))

    async def _whole(self) -> None:
        place = self._drawn.randrange(len(self._cases))
        case = self._cases[place]
        async with post(self.port, "/v1/completions", case.body) as answer:
            await self._read(answer, case, self._expected[place])

    async def _slow(self) -> None:
        """Read with pauses, and the first answer late."""
        place = self._drawn.randrange(len(self._cases))
        case = self._cases[place]
        async with post(self.port, "/v1/completions", {**case.body, "stream": True}) as answer:
            await asyncio.sleep(self._drawn.uniform(0, 3))
            await self._read(answer, case, self._expected[place], pause=0.1)

    async def _hang_up(self) -> None:
        """Read the beginning; what was read is right as far as it goes."""
        place = self._drawn.randrange(len(self._cases))
        case = replace(self._cases[place], stream=True, cut=None)
        async with post(self.port, "/v1/completions", case.body) as answer:
            most = self._drawn.randint(1, 8)
            await self._read(answer, case, self._expected[place], most=most)

    async def _hang_up_at_once(self) -> None:
        case = self._drawn.choice(self._cases)
        async with asyncio.timeout(10):
            _, writer = await self._sent(json.dumps(case.body).encode())
            await asyncio.sleep(self._drawn.choice([0, 0.01, 0.3]))
            writer.close()
        self.tally.seen["hung up at once"] += 1

    async def _half(self) -> None:
        """Promise a body, and send half of it."""
        data = json.dumps(self._drawn.choice(self._cases).body).encode()
        _, writer = await self._sent(data[: len(data) // 2], length=len(data))
        await asyncio.sleep(self._drawn.uniform(0, 2))
        writer.close()
        self.tally.seen["half a request"] += 1

    async def _rubbish(self) -> None:
        body = self._drawn.choice(RUBBISH)
        try:
            async with post(self.port, "/v1/completions", body) as answer:
                status, said = answer.status, await answer.json()
        except ConnectionError:
            # What is too large is refused before it was read, and the rest meets a closed door.
            if len(body) < MANY:
                raise
            self.tally.seen["rubbish 413"] += 1
            return
        if not 400 <= status < 500 or not said["error"]["message"]:
            self.tally.blame(f"rubbish was answered {status}", body)
        self.tally.seen[f"rubbish {status}"] += 1

    async def _raw(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self._drawn.choice(RAW))
            async with asyncio.timeout(1):
                await reader.read()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        self.tally.seen["no HTTP"] += 1

    async def _failing(self) -> None:
        """Ask for a processor that raises now and then: an error, or the right answer.

        Chains and particles go on without a proposal that failed, so their texts may be others.
        """
        place = self._drawn.choice(self._steadfast)
        case = self._cases[place]
        body = {**case.body, "gpt2sdk": {**case.body.get("gpt2sdk", {}), **FAULT}}
        async with post(self.port, "/v1/completions", body) as answer:
            await self._read(answer, case, self._expected[place], fault=True)

    async def _look(self) -> None:
        for path in ("/health", "/metrics", "/v1/models", "/nothing"):
            status, _ = await get(self.port, path)
            if status != (404 if path == "/nothing" else 200):
                self.tally.blame(f"{path} was answered {status}", path)
        self.tally.seen["looked"] += 1

    async def _sent(
        self, data: bytes, length: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += "Content-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {length or len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        return reader, writer

    async def _read(
        self,
        answer: Answer,
        case: ServeCase,
        expected: tuple[str, ...],
        *,
        fault: bool = False,
        pause: float = 0.0,
        most: int | None = None,
    ) -> None:
        """Read an answer and compare it with its call."""
        read = Reading()
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            async for event in answer.events():
                read.take(event)
                await asyncio.sleep(pause)
                if most is not None and read.events >= most:
                    break
        else:
            read.take_whole(await answer.json(), answer.status)
        self._judge(read, case, expected, fault=fault, cut=most is not None)

    def _judge(
        self, read: "Reading", case: ServeCase, expected: tuple[str, ...], *, fault: bool, cut: bool
    ) -> None:
        texts = [read.texts.get(place, "") for place in range(len(expected))]
        whole = read.done == 1 and not read.error
        if read.id in self.tally.ids:
            self.tally.blame("an id came twice", read.id)
        self.tally.ids.add(read.id or f"none {len(self.tally.ids)}")
        if read.busy:
            self.tally.seen["turned away"] += 1
        elif read.error:
            kind = "failed as it was to" if fault and "component_failed" in read.error else "wrong"
            if kind == "wrong":
                self.tally.blame(read.error, case.body)
            else:
                self.tally.seen[kind] += 1
        elif whole and (texts != list(expected) or set(read.ends.values()) != {1}):
            self.tally.blame(f"{texts}, ended {dict(read.ends)}, expected {expected}", case.body)
        elif whole:
            self.tally.seen["right"] += 1
        elif not cut or read.done > 1:
            self.tally.blame(f"done {read.done} times", case.body)
        elif any(not e.startswith(t) for t, e in zip(texts, expected, strict=True)):
            self.tally.blame(f"{texts} do not begin {expected}", case.body)
        else:
            self.tally.seen["right so far"] += 1


@dataclass
class Reading:
    """What was read of an answer.

    Attributes:
        id: The answer's.
        texts: Of each completion.
        ends: How often each completion ended.
        done: How often the whole did.
        events: How many there were.
        error: What the server said went wrong.
        busy: Whether it had no room.
    """

    id: str = ""
    texts: dict[int, str] = field(default_factory=dict)
    ends: Counter[int] = field(default_factory=Counter)
    done: int = 0
    events: int = 0
    error: str = ""
    busy: bool = False

    def take(self, event: dict | None) -> None:
        """Take an event of a stream."""
        self.events += 1
        if event is None:
            self.done += 1
        elif "error" in event:
            self.error = json.dumps(event["error"])
        else:
            self._choices(event)

    def take_whole(self, body: dict, status: int) -> None:
        """Take an answer that is no stream."""
        self.busy = status in (429, 503)
        if status == 200:
            self.done += 1
            self._choices(body)
        else:
            self.error = json.dumps(body["error"])

    def _choices(self, body: dict) -> None:
        self.id = body["id"]
        for choice in body["choices"]:
            place = choice["index"]
            self.texts[place] = self.texts.get(place, "") + choice["text"]
            self.ends[place] += choice["finish_reason"] is not None
