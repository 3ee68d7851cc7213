"""What loading takes of memory, time and disk, beside transformers: GPT-2's four sizes.

Random weights in one float32 safetensors file. Each contestant loads it in a process of its own,
after it has loaded a small model of the same kind, so that imports and kernels do not count; the
memory is anonymous (RssAnon: what is allocated, without pages of the mapped file), and seen from
another process every millisecond. `load` is the model as it is stored, `ready` the one that
`Generator.from_pretrained` returns, packed for the CPU's kernels. MiB:

    peak, final    the most while loading, and what is held afterwards, over the state before
    running        all memory over the state before, mapped pages of files included, after a token:
                   transformers leaves weights in the mapped file whose type need not change
    tensors        what all living tensors hold, packed ones included
    plan           `plan_load`: weights; what loading needs besides; the most with a full context
    file           the weights that `save_pretrained` writes

    python benchmarks/bench_load.py [--sizes 124M,355M] [--weights float32,int8] [--more]

`--more` adds to the record. A run that is interrupted keeps what it measured.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from random_model import SIZES, SMALL, write_random_model
from record import RESULTS, save
from torch.nn import Module

from gpt2sdk import Generator
from gpt2sdk.loading import Loaded, LoadSettings, load, plan_load

MIB = 2**20
# How far the peak may be above what is held afterwards, and what NF4 with a table in 8 bits may
# take.
MOST_BESIDES = 32
MOST_OF_NF4 = {"124M": 90, "1.5B": 850}
WEIGHTS: dict[str, dict[str, str]] = {
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantization": "int8"},
    "int4": {"quantization": "int4"},
    "bnb-int8": {"quantization": "bnb-int8"},
    "bnb-nf4": {"quantization": "bnb-nf4"},
    "bnb-nf4-bfloat16": {"quantization": "bnb-nf4", "dtype": "bfloat16"},
}
THEIRS = ("float32", "bfloat16", "bnb-int8", "bnb-nf4")
Row = dict[str, object]


def transformers_model(folder: Path, weights: str) -> Module:
    """Load with transformers; what is not quantized is in bfloat16 then."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig  # noqa: PLC0415

    quantization = {
        "bnb-int8": BitsAndBytesConfig(load_in_8bit=True),
        "bnb-nf4": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
    }.get(weights)
    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32 if weights == "float32" else torch.bfloat16,
        quantization_config=quantization,
        device_map="cpu",
    )


def made(folder: Path, library: str, weights: str, step: str) -> Generator | Loaded | Module:
    """Load a model in one of the ways that are compared."""
    if library == "transformers":
        return transformers_model(folder, weights)
    if step == "load":
        return load(folder, LoadSettings(device="cpu", **WEIGHTS[weights]))
    return Generator.from_pretrained(folder, device="cpu", **WEIGHTS[weights])


def child(small: Path, folder: Path, library: str, weights: str, step: str) -> None:
    """Load, saying when it begins and ends, and then save; each time the parent is waited for."""
    made(small, library, weights, step)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    wait_for_parent({})
    started = time.perf_counter()
    model = made(folder, library, weights, step)
    seconds = time.perf_counter() - started
    gc.collect()
    wait_for_parent({"seconds": seconds, "tensors_mib": living_tensors() / MIB})
    file: float | None = None
    if step == "ready":
        run(model)
        gc.collect()
    wait_for_parent({})
    if step == "ready":
        with tempfile.TemporaryDirectory(dir=folder.parent) as target:
            model.save_pretrained(target)
            file = sum(each.stat().st_size for each in Path(target).glob("*.safetensors")) / MIB
    wait_for_parent({"file_mib": file})


def run(model: Generator | Module) -> None:
    """Let a model predict one token."""
    if isinstance(model, Generator):
        model.generate([[1]], strategy="greedy", max_new_tokens=1)
    else:
        with torch.inference_mode():
            model(torch.tensor([[1]]))


def wait_for_parent(values: Row) -> None:
    """Say something, and go on when the parent has seen to it."""
    print(json.dumps(values), flush=True)
    sys.stdin.readline()


def living_tensors() -> int:
    """Bytes of all tensors that exist, each storage once."""
    storages: dict[int, int] = {}
    opaque = 0
    for each in gc.get_objects():
        if not issubclass(type(each), torch.Tensor) or each.is_meta:
            continue
        if each.layout is torch.strided:
            storage = each.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        else:
            opaque += each.numel() * each.element_size()
    return sum(storages.values()) + opaque


class Watch:
    """A process's memory in MiB, over what it was at first; looked at every millisecond."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._first = self._now()
        self._most = 0.0
        self._running = True
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def anonymous(self) -> float:
        """What is allocated."""
        return self._now()["RssAnon"] - self._first["RssAnon"]

    def resident(self) -> float:
        """All of it, mapped pages of files included."""
        return sum(self._now().values()) - sum(self._first.values())

    def stop(self) -> float:
        """Return the most that was allocated."""
        self._running = False
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while self._running:
            self._most = max(self._most, self.anonymous())
            time.sleep(0.001)

    def _now(self) -> dict[str, float]:
        lines = self._status.read_text().splitlines()
        kinds = dict(line.split(":", 1) for line in lines if line.startswith("Rss"))
        return {kind: int(kilobytes.split()[0]) / 1024 for kind, kilobytes in kinds.items()}


def measure(small: Path, folder: Path, library: str, weights: str, step: str) -> Row:
    """Let a process load a model, and watch it."""
    arguments = [str(small), str(folder), library, weights, step]
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    with process:
        told(process)
        watch = Watch(process.pid)
        try:
            proceed(process)
            values = told(process)
        finally:
            peak = watch.stop()
        final = watch.anonymous()
        proceed(process)
        told(process)
        running = watch.resident() if step == "ready" else None
        proceed(process)
        values |= told(process)
        proceed(process)
    return {
        "library": library,
        "weights": weights,
        "step": step,
        "seconds": values["seconds"],
        "peak_mib": peak,
        "final_mib": final,
        "besides_mib": peak - final,
        "running_mib": running,
        "tensors_mib": values["tensors_mib"],
        "file_mib": values["file_mib"],
    }


def told(process: "subprocess.Popen[str]") -> Row:
    """Return what a process says next; libraries may print other lines."""
    assert process.stdout is not None  # noqa: S101 - for the type checker
    for line in process.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    message = f"{process.args}: ended with {process.wait()}"
    raise RuntimeError(message)


def proceed(process: "subprocess.Popen[str]") -> None:
    """Let a process go on."""
    assert process.stdin is not None  # noqa: S101 - for the type checker
    process.stdin.write("\n")
    process.stdin.flush()


def planned(folder: Path, weights: str | None) -> Row:
    """What the plan says, where there is one."""
    if weights is None:
        return {"plan_mib": None, "plan_workspace_mib": None, "plan_peak_mib": None}
    plan = plan_load(folder, LoadSettings(device="cpu", **WEIGHTS[weights]))
    return {
        "plan_mib": plan.nbytes / MIB,
        "plan_workspace_mib": plan.devices["cpu"].workspace / MIB,
        "plan_peak_mib": plan.peak_nbytes / MIB,
    }


def rows(size: str, weights: list[str]) -> Iterator[Row]:
    """Measure all contestants on one size."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as parent:
        small, folder = Path(parent) / "small", Path(parent) / "model"
        write_random_model(small, SMALL)
        write_random_model(folder, SIZES[size])
        for each in weights:
            for step in ("load", "ready"):
                row = measure(small, folder, "gpt2sdk", each, step)
                yield told_of({"size": size, **row, **planned(folder, each)})
        for each in (name for name in THEIRS if name in weights):
            row = measure(small, folder, "transformers", each, "ready")
            yield told_of({"size": size, **row, **planned(folder, None)})


def told_of(row: Row) -> Row:
    """Say that a row is there, since all of them take minutes."""
    name = f"{row['size']} {row['library']} {row['weights']} {row['step']}"
    print(f"{name}: {row['final_mib']:.0f} MiB held, peak {row['peak_mib']:.0f}", file=sys.stderr)
    return row


def misses(found: list[Row]) -> Iterator[str]:
    """Say which of our rows miss a goal."""
    for row in (row for row in found if row["library"] == "gpt2sdk"):
        name = f"{row['size']} {row['weights']} {row['step']}"
        besides, final = float(str(row["besides_mib"])), float(str(row["final_mib"]))
        if besides > MOST_BESIDES:
            yield f"{name}: {besides:.0f} MiB besides what is held, at most {MOST_BESIDES} wanted"
        most = MOST_OF_NF4.get(str(row["size"])) if "nf4" in str(row["weights"]) else None
        if most is not None and final > most:
            yield f"{name}: {final:.0f} MiB are held, at most {most} wanted"


def main() -> None:
    """Measure everything, or be a process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--weights", default=",".join(WEIGHTS))
    parser.add_argument("--more", action="store_true", help="add to what is recorded")
    parser.add_argument("--child", nargs=5)
    given = parser.parse_args()
    if given.child:
        small, folder, library, weights, step = given.child
        child(Path(small), Path(folder), library, weights, step)
        return
    weights = given.weights.split(",")
    found: list[Row] = []
    if given.more:
        found = json.loads((RESULTS / "load.json").read_text())["rows"]
    try:
        for size in given.sizes.split(","):
            for row in rows(size, weights):
                found.append(row)
    finally:
        # The largest take long: what was measured before an interruption is kept.
        save("load", found)
    for miss in misses(found):
        print(f"missed: {miss}")


if __name__ == "__main__":
    main()
