"""Random clients for minutes: the server stays, keeps no memory, and mixes no answers.

Clients read whole answers or slowly, hang up at any time, send halves of requests and rubbish, and
ask for a processor that raises at random. Each answer is compared with the call in process of the
same seed. Ends with 1 if an answer was wrong, the server ended, or its memory went on growing.

    python benchmarks/soak_serve.py [--seconds 600] [--clients 24] [--cases 200] [--seed 0]
        [--runner native] [--model storyteller]
"""

import argparse
import asyncio
import json
import statistics
import sys
from pathlib import Path

from http_stream import get
from serve_servers import Running, held_mb, serving
from soak_clients import Crowd

from gpt2sdk import Generator

SERVER = Path(__file__).with_name("soak_server.py")
GROWTH = 1.0
"""Megabytes a minute by which a server may grow over the second half, where that is long."""
LONG = 300.0


def main() -> int:
    """Run it, print what was seen, and say whether it was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runner", default="auto")
    parser.add_argument("--model", default="storyteller")
    given = parser.parse_args()
    gen = Generator.from_pretrained(given.model, device="cpu", runner=given.runner)
    command = [sys.executable, str(SERVER), given.model, given.runner]
    with serving(command, threads=1) as server:
        crowd = Crowd(server.port, gen, given.seed, given.cases)
        held = asyncio.run(_watched(crowd, server, given.seconds, given.clients))
        idle = asyncio.run(_idle(server))
        alive = server.process.poll() is None
        said = server.said
    growth = slope(held[len(held) // 2 :])
    report = {
        "seconds": given.seconds,
        "answers": dict(sorted(crowd.tally.seen.items())),
        "wrong": crowd.tally.wrong,
        "alive": alive,
        "idle_at_the_end": idle,
        "held_mb": [
            round(held[0][1], 1),
            round(max(mb for _, mb in held), 1),
            round(held[-1][1], 1),
        ],
        "log": said[-500:],
        "growth_mb_a_minute": round(growth, 3),
    }
    print(json.dumps(report, indent=1))
    leaks = given.seconds >= LONG and growth > GROWTH
    return int(bool(crowd.tally.wrong) or not alive or not idle or leaks)


async def _watched(
    crowd: Crowd, server: Running, seconds: float, clients: int
) -> list[tuple[float, float]]:
    """Run the crowd, and read what the server holds now and then: minutes and megabytes."""
    running = asyncio.ensure_future(crowd.run(seconds, clients))
    loop = asyncio.get_running_loop()
    started, held = loop.time(), []
    while not running.done():
        held.append(((loop.time() - started) / 60, held_mb(server.process.pid)))
        await asyncio.wait([running], timeout=1.0)
    await running
    return held


async def _idle(server: Running) -> bool:
    """Whether soon nothing runs or waits any more."""
    for _ in range(100):
        status, _ = await get(server.port, "/health")
        _, metrics = await get(server.port, "/metrics")
        if status == 200 and not _busy(metrics.decode()):
            return True
        await asyncio.sleep(0.1)
    return False


def _busy(metrics: str) -> float:
    """How many rows run, or requests wait."""
    return sum(
        float(line.split()[-1])
        for line in metrics.splitlines()
        if line.startswith(
            ("gpt2sdk_requests ", "gpt2sdk_rows{", "gpt2sdk_rows_waiting{", "gpt2sdk_memory_bytes{")
        )
    )


def slope(points: list[tuple[float, float]]) -> float:
    """Return by how much the second number grows where the first grows by 1.

    >>> slope([(0.0, 10.0), (1.0, 12.0), (2.0, 14.0)])
    2.0
    """
    if len(points) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope


if __name__ == "__main__":
    sys.exit(main())
