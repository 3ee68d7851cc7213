"""A file of prompts: `gpt2sdk batch` with a loop of calls and with transformers in sorted batches.

Prompts have 16 to 128 tokens, and every one of them gets 16 to 64 tokens, greedily: the same for
all. The loop calls `gen.generate` prompt by prompt; transformers' `generate` gets batches of 8 that
were sorted by length, padded on the left, each to the longest of its outputs. Tokens that somebody
asked for count, others do not.

`--deaths 20` measures no speed: it does 20,000 lines while `kill -9` ends the run 20 times at
random moments and the disk is full once, and compares the output with that of an undisturbed run.

    python benchmarks/bench_batch.py [--lines 200] [--rounds 3] [--shape 124M]
    python benchmarks/bench_batch.py --deaths 20 [--lines 20000]
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from random_model import SIZES, write_random_model
from record import RESULTS, interleave, machine, save

from gpt2sdk import Generator
from gpt2sdk_batch import run

TALE = (
    "Once upon a time there was a miller who had three sons, and when he died he left the eldest "
    "the mill, the second his donkey, and the youngest nothing but the cat. "
)
BATCH, ROWS = 8, 32


def lines(count: int, gen: Generator) -> list[dict[str, object]]:
    """Return lines with prompts of 16 to 128 tokens, which are to get 16 to 64 more."""
    luck = random.Random(3)  # noqa: S311 - no secret
    tokens = gen.tokenizer.encode(TALE * 8)
    return [
        {
            "id": f"line {number}",
            "prompt": tokens[(start := luck.randrange(9)) : start + luck.randint(16, 128)],
            "options": {"max_new_tokens": (new := 16 * luck.randint(1, 4)), "min_new_tokens": new},
        }
        for number in range(count)
    ]


def by_batch(gen: Generator, asked: list[dict[str, object]]) -> Callable[[], object]:
    """Return what does the lines with this package."""

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run(gen, asked, Path(folder) / "out.jsonl", strategy="greedy", batch_size=ROWS)

    return work


def by_loop(gen: Generator, asked: list[dict[str, object]]) -> Callable[[], object]:
    """Return what calls `generate` for each."""

    def work() -> None:
        for line in asked:
            gen.generate(line["prompt"], strategy="greedy", **line["options"])

    return work


def by_transformers(folder: Path, asked: list[dict[str, object]]) -> Callable[[], object]:
    """Return what hands sorted batches to transformers."""
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - may be missing

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ordered = sorted(asked, key=lambda line: len(line["prompt"]))

    def work() -> None:
        for start in range(0, len(ordered), BATCH):
            some = ordered[start : start + BATCH]
            longest = max(len(line["prompt"]) for line in some)
            new = max(line["options"]["max_new_tokens"] for line in some)
            ids = torch.zeros(len(some), longest, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, line in enumerate(some):
                ids[row, longest - len(line["prompt"]) :] = torch.tensor(line["prompt"])
                mask[row, longest - len(line["prompt"]) :] = 1
            with torch.inference_mode():
                model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    do_sample=False,
                    max_new_tokens=new,
                    min_new_tokens=new,
                    pad_token_id=0,
                )

    return work


def compare(shape: str, count: int, rounds: int) -> dict[str, object]:
    """Return how many tokens a second each of them writes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if shape == "storyteller":
            gen = Generator.from_pretrained("storyteller")
            Generator.from_pretrained("storyteller", runner="torch").save_pretrained(folder)
        else:
            write_random_model(folder, SIZES[shape])
            gen = Generator.from_pretrained(folder)
        asked = lines(count, gen)
        contestants = {"batch": by_batch(gen, asked), "loop": by_loop(gen, asked)}
        try:
            contestants["transformers"] = by_transformers(folder, asked)
        except ImportError as error:
            print(f"left out: {error}; pip install transformers")
        seconds = interleave(contestants, rounds)
    tokens = sum(line["options"]["max_new_tokens"] for line in asked)
    rates = {name: tokens / taken for name, taken in seconds.items()}
    return {
        "model": shape,
        "lines": count,
        "threads": torch.get_num_threads(),
        **{f"{name}_tokens_per_second": rate for name, rate in rates.items()},
        **{f"times_{name}": rates["batch"] / rate for name, rate in rates.items()},
    }


def survive(deaths: int, count: int) -> dict[str, object]:
    """Kill a run again and again, and return whether that shows in the output."""
    luck = random.Random(11)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, target, whole = (folder / each for each in ("in.jsonl", "out.jsonl", "whole.jsonl"))
        starts = ("Once upon a time", "The king", "There was an old woman who", "A")
        source.write_text(
            "".join(
                json.dumps({"id": f"l{n}", "prompt": f"{starts[n % 4]} {n}"}) + "\n"
                for n in range(count)
            )
        )
        began = time.monotonic()
        _command(source, whole).wait()
        undisturbed = time.monotonic() - began
        began, ended = time.monotonic(), []
        goals = sorted(luck.uniform(0, 0.97) for _ in range(deaths))
        for number, goal in enumerate(goals):
            if number == deaths // 2:
                ended.append(_fill(source, target, folder))
            ended.append(_kill(source, target, goal * count, luck))
        last = _command(source, target).wait()
        return {
            "lines": count,
            "kills": ended.count("killed"),
            "full_disks": ended.count("full"),
            "exit_code": last,
            "equal": whole.read_bytes() == target.read_bytes(),
            "bytes": whole.stat().st_size,
            "seconds_undisturbed": undisturbed,
            "seconds_disturbed": time.monotonic() - began,
        }


def _command(source: Path, target: Path, **how: object) -> subprocess.Popen[str]:
    given = ["-m", "storyteller", "--max-new-tokens", "6", "-o", "top_p=0.9", "-q"]
    command = [sys.executable, "-m", "gpt2sdk", "batch", str(source), str(target), *given]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **how)


def _kill(source: Path, target: Path, lines_done: float, luck: random.Random) -> str:
    """Kill a run some time after so many lines."""
    journal = target.with_name(f"{target.name}.journal")
    process = _command(source, target)
    while process.poll() is None:
        if journal.exists() and journal.stat().st_size > 0 and _count(journal) >= lines_done:
            break
        time.sleep(0.02)
    time.sleep(luck.random())
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return "killed" if alive else "ended"


def _count(journal: Path) -> int:
    with journal.open("rb") as file:
        return sum(1 for _ in file) - 2


def _fill(source: Path, target: Path, folder: Path) -> str:
    """Let a run meet a full disk: it may write so much more, and no further."""
    room = (folder / "out.jsonl.journal").stat().st_size + 100_000
    process = _command(
        source,
        target,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    _, said = process.communicate()
    return "full" if process.returncode == 2 and "are done and kept" in said else f"odd: {said}"


def main() -> None:
    """Compare, or kill, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", action="append", help="storyteller, 124M; again for more")
    parser.add_argument("--deaths", type=int, default=0)
    given = parser.parse_args()
    path = RESULTS / "batch.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if given.deaths:
        found = survive(given.deaths, given.lines or 20_000)
        print(json.dumps(found, indent=1))
        record = {"machine": machine(), **known, "deaths": {**found, "machine": machine()}}
        path.write_text(json.dumps({"rows": [], **record}, indent=1) + "\n")
        return
    shapes = given.shape or ["storyteller"]
    rows = [compare(shape, given.lines or 200, given.rounds) for shape in shapes]
    save("batch", rows, **({"deaths": known["deaths"]} if "deaths" in known else {}))


if __name__ == "__main__":
    main()
