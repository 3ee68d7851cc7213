"""Calls on one engine: beside the same calls one after another, and what stays of many.

16 calls of 32 new tokens, each with a strategy, options and a prompt of its own, run one after
another, and on one engine. Then thousands of requests go through an engine, and what the process
holds is read now and then.

    python benchmarks/bench_engine.py [--model storyteller] [--rounds 5] [--requests 20000]
"""

import argparse
import gc
from pathlib import Path

import torch
from record import interleave, save

from gpt2sdk import Generator
from gpt2sdk.testing import Letters, TableModel

PROMPTS = ["Once upon a time", "The king", "The old witch said", "In the forest there was"]
OPTIONS = [
    {"strategy": "greedy"},
    {"temperature": 0.8, "top_p": 0.95, "seed": 1},
    {"strategy": "beam", "num_beams": 4},
    {"temperature": 0.7, "guidance_scale": 1.3, "seed": 2},
]
FIXED = {"max_new_tokens": 32, "eos_token_id": None}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="storyteller")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000)
    given = parser.parse_args()
    save("engine", [*speed(given.model, given.rounds), *memory(given.requests)])


def speed(model: str, rounds: int) -> list[dict[str, object]]:
    """Compare the calls one after another with the calls on one engine."""
    gen = Generator.from_pretrained(model, device="cpu")
    calls = [(prompt, options | FIXED) for prompt in PROMPTS for options in OPTIONS]

    def one_by_one() -> None:
        for prompt, options in calls:
            gen.generate(prompt, **options)

    def together() -> None:
        engine = gen.engine(batch_size=64)
        streams = [gen.stream(prompt, engine=engine, **options) for prompt, options in calls]
        while engine.step():
            pass
        del streams

    seconds = interleave({"one by one": one_by_one, "on one engine": together}, rounds)
    return [
        {
            "what": f"{model}: 16 calls, {name}",
            "seconds": taken,
            "times": seconds["one by one"] / taken,
            "held_mb": None,
        }
        for name, taken in seconds.items()
    ]


def memory(requests: int) -> list[dict[str, object]]:
    """Send requests with options of their own through one engine, with no collection of cycles."""
    letters = Letters()
    model = TableModel(len(letters.alphabet), order=1)
    gen = Generator(model, letters, decoder=letters, eos_token_ids=[])
    engine = gen.engine(batch_size=16)
    rows: list[dict[str, object]] = []
    gc.disable()
    for number in range(1, requests + 1):
        options = {"temperature": 0.5 + number / requests, "top_k": 1 + number % 7}
        stream = gen.stream("abc", engine=engine, max_new_tokens=2, seed=number, **options)
        for _ in stream:
            pass
        if number in (requests // 20, requests):
            what = f"table model: after {number} requests"
            rows.append({"what": what, "seconds": None, "times": None, "held_mb": held()})
    gc.enable()
    return rows


def held() -> float:
    """What the process holds, in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
