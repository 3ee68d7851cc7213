"""A server under load: beside transformers and llama.cpp's server, and beside no server at all.

32 clients each wait for one answer after another: prompts of 16 to 256 tokens, 16 to 128 new ones,
greedy, the same model of 124M with random weights in float32. transformers' `generate` answers
them one by one in process; llama-cpp-python's server and ours over HTTP, as streams. `in process`
is our engine without HTTP. What runs has all threads; contestants take turns. `work` is the time of
processors, which says more than seconds on a machine that is shared.

Then the memory of a server over thousands of requests, and thousands of answers over HTTP beside
the calls they stand for, with mixed options and strategies, some cut off by their clients.

    python benchmarks/bench_serve.py [--parts load,memory,equal] [--requests 128] [--slow 48]
        [--rounds 3] [--clients 32] [--threads 2] [--memory 20000] [--answers 5000]
        [--weights float32,int8] [--size 124M] [--peers PYTHON] [--name serve]

llama-cpp-python with its server's extras is looked for where `make bench-peers` puts it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from gguf_model import write_gguf
from http_stream import post
from random_model import SIZES, SMALL, write_random_model
from record import save
from serve_equality import Got, answers, differs
from serve_load import clients, over_http, requests, summary
from serve_servers import Running, ServerError, llama_cpp, ours
from word_tokenizer import word_tokenizer

from gpt2sdk import Generator
from gpt2sdk.benchmark.turns import Spread
from gpt2sdk.testing import save_tiny_model

FOLDER = Path(__file__).parent
PEERS = FOLDER.parent / ".venv-peers" / "bin" / "python"
WANTED = {"transformers": 6.0, "llama.cpp's server": 2.0}
MEASURED = ("tokens_per_second", "work_ms_per_token", "first_token_p50", "first_token_p95")
Found = dict[str, float]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="load,memory,equal")
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--slow", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", type=int, default=20_000)
    parser.add_argument("--answers", type=int, default=5_000)
    parser.add_argument("--weights", default="float32,int8")
    parser.add_argument("--size", default="124M", choices=[*SIZES, "small"])
    parser.add_argument("--peers", type=Path, default=PEERS)
    parser.add_argument("--name", default="serve")
    given = parser.parse_args()
    parts = {"load": load, "memory": memory, "equal": equal}
    rows = [row for part in given.parts.split(",") for row in parts[part](given)]
    everywhere = dict.fromkeys(key for row in rows for key in row)
    how = {name: getattr(given, name) for name in ("clients", "threads", "size", "rounds")}
    save(given.name, [{key: row.get(key) for key in everywhere} for row in rows], **how)


def load(given: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Throughput and first tokens of every contestant, in turns."""
    sizes = SIZES.get(given.size, SMALL) | {"vocab_size": SMALL["vocab_size"]}
    if given.size != "small":
        sizes = dict(SIZES[given.size])
    with tempfile.TemporaryDirectory(dir="/var/tmp") as parent, ExitStack() as servers:
        folder = Path(parent) / "model"
        tokenizer = word_tokenizer(sizes.get("vocab_size", 50257))
        write_random_model(folder, sizes, table=5.0, blocks=5.0, tokenizer=tokenizer)
        contestants = _contestants(given, folder, servers)
        found: dict[str, list[Found]] = {name: [] for name in contestants}
        for number in range(given.rounds):
            order = list(contestants.items())
            for name, run in order if number % 2 == 0 else reversed(order):
                found[name].append(run())
                print(f"round {number + 1}: {name}: {json.dumps(found[name][-1])}", flush=True)
    for name, rounds in found.items():
        yield {"what": name, **_spread(rounds), **_ratios(name, found)}


def _contestants(
    given: argparse.Namespace, folder: Path, servers: ExitStack
) -> dict[str, Callable[[], Found]]:
    """Start what stays, and say how each is run."""
    count, wanted = given.clients, requests(given.requests)
    slow = [str(each) for each in (given.slow, count, given.threads)]
    made: dict[str, Callable[[], Found]] = {
        "transformers": partial(_script, "serve_transformers.py", str(folder), *slow)
    }
    try:
        write_gguf(folder, vocabulary=True)
        start = llama_cpp(str(given.peers), folder / "model.gguf", given.threads)
        server = servers.enter_context(start)
        made["llama.cpp's server"] = partial(_over, server, {}, wanted[: given.slow], count)
    except (ServerError, OSError) as error:
        print(f"llama.cpp's server is left out: {error}", file=sys.stderr)
    for weights in given.weights.split(","):
        flags = [] if weights == "float32" else ["--quantization", weights]
        server = servers.enter_context(ours(str(folder), *flags, threads=given.threads))
        more: dict[str, object] = {"gpt2sdk": {"strategy": "greedy", "eos_token_id": None}}
        made[f"gpt2sdk serve, {weights}"] = partial(_over, server, more, wanted, count)
        fast = [str(each) for each in (given.requests, count, given.threads)]
        run = partial(_script, "serve_in_process.py", str(folder), weights, *fast)
        made[f"gpt2sdk in process, {weights}"] = run
    return made


def _script(name: str, *arguments: str) -> Found:
    """Run a contestant in a process of its own."""
    command = [sys.executable, str(FOLDER / name), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def _over(server: Running, more: dict[str, object], wanted: list, count: int) -> Found:
    """Load a server."""
    ask = over_http(server.port, None, more)
    asyncio.run(clients(ask, wanted[:1], 1))
    before = server.worked
    seconds, took = asyncio.run(clients(ask, wanted, count))
    return {**summary(seconds, took, server.worked - before), "held_mb": server.held_mb}


def _spread(rounds: list[Found]) -> dict[str, object]:
    """Median and quartiles of what counts, over the rounds."""
    return {name: asdict(Spread.of([each[name] for each in rounds])) for name in MEASURED} | {
        "held_mb": rounds[-1].get("held_mb")
    }


def _ratios(name: str, found: dict[str, list[Found]]) -> dict[str, object]:
    """How a contestant compares, in pairs of one round."""
    made: dict[str, object] = {}
    if not name.startswith("gpt2sdk serve"):
        return made
    for peer in WANTED.keys() & found.keys():
        pairs = list(zip(found[name], found[peer], strict=True))
        rate = [one["tokens_per_second"] / other["tokens_per_second"] for one, other in pairs]
        work = [other["work_ms_per_token"] / one["work_ms_per_token"] for one, other in pairs]
        first = [one["first_token_p95"] / other["first_token_p95"] for one, other in pairs]
        made[f"times {peer}"] = asdict(Spread.of(rate))
        made[f"times the work {peer}"] = asdict(Spread.of(work))
        made[f"first token beside {peer}"] = asdict(Spread.of(first))
    inside = found[name.replace("serve", "in process")]
    pairs = list(zip(found[name], inside, strict=True))
    costs = [1 - one["tokens_per_second"] / other["tokens_per_second"] for one, other in pairs]
    works = [one["work_ms_per_token"] / other["work_ms_per_token"] - 1 for one, other in pairs]
    return made | {"overhead": asdict(Spread.of(costs)), "work_overhead": asdict(Spread.of(works))}


def memory(given: argparse.Namespace) -> Iterator[dict[str, object]]:
    """What a server holds over many requests, each with options of its own."""
    with tempfile.TemporaryDirectory() as folder:
        save_tiny_model(folder)
        with ours(folder) as server:
            done = 0
            for share in (0.05, 0.25, 0.5, 0.75, 1.0):
                until = int(given.memory * share)
                asyncio.run(_many(server.port, range(done, until), given.clients))
                done = until
                what = f"tiny model: after {done} requests"
                yield {"what": what, "held_mb": server.held_mb}


async def _many(port: int, numbers: range, count: int) -> None:
    left = iter(numbers)

    async def client() -> None:
        for number in left:
            body = {"prompt": f"Once {number}", "max_tokens": 2, "seed": number}
            body |= {"temperature": 0.5 + number % 1000 / 1000, "stream": number % 2 == 0}
            async with post(port, "/v1/completions", body) as answer:
                await answer.body()
                if answer.status != 200:
                    message = f"request {number} was answered {answer.status}"
                    raise RuntimeError(message)

    await asyncio.gather(*(client() for _ in range(count)))


def equal(given: argparse.Namespace) -> Iterator[dict[str, object]]:
    """How many answers over HTTP differ from the calls they stand for."""
    kinds = [("native", each) for each in given.weights.split(",")] + [("torch", "float32")]
    for runner, weights in kinds:
        quantization = None if weights == "float32" else weights
        flags = ["--runner", runner, *(["--quantization", weights] if quantization else [])]
        got: list[Got] = []
        with ours("storyteller", *flags) as server:
            asyncio.run(answers(server.port, range(given.answers), given.clients, got.append))
        gen = Generator.from_pretrained(
            "storyteller", device="cpu", runner=runner, quantization=quantization
        )
        wrong = [(each.case, words) for each in got if (words := differs(each, gen))]
        for case, words in wrong[:5]:
            print(f"{runner} {weights}: {case.body}: {words}", file=sys.stderr)
        row: dict[str, object] = {
            "what": f"answers that differ, {runner} {weights}",
            "answers": len(got),
            "cut": sum(each.case.cut is not None and not each.whole for each in got),
            "differ": len(wrong),
        }
        print(json.dumps(row), flush=True)
        yield row


if __name__ == "__main__":
    main()
