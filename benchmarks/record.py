"""What every benchmark needs: interleaved timings, and a record of what they were taken on."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from gpt2sdk.benchmark.machine import describe_machine
from gpt2sdk.benchmark.turns import Spread, take_turns, timed

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "gpt2sdk",
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "bitsandbytes",
    "lm_eval",
)


def interleave(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each contestant, all taking turns so that noise hits them alike.

    Args:
        contestants: What to time; each is run once before, unmeasured.
        rounds: How many turns each has.
    """
    for run in contestants.values():
        run()
    turns = {name: partial(timed, run) for name, run in contestants.items()}
    return {name: Spread.of(found).median for name, found in take_turns(turns, rounds).items()}


def machine() -> dict[str, object]:
    """Processor, cores, versions and commit."""
    return {**describe_machine(PACKAGES), "commit": _commit()}


def save(name: str, rows: Sequence[Mapping[str, object]], **more: object) -> None:
    """Write rows as `results/<name>.json`, with the machine they were taken on, and print them.

    Args:
        name: Of the record.
        rows: What was found.
        more: What else is to stand in the record.
    """
    RESULTS.mkdir(exist_ok=True)
    record = {"machine": machine(), **more, "rows": [dict(row) for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    columns = [name for name in rows[0] if all(name in row for row in rows)]
    print(" | ".join(columns))
    for row in rows:
        print(" | ".join(_cell(row[column]) for column in columns))


def _cell(value: object) -> str:
    if isinstance(value, dict) and "median" in value:
        return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
