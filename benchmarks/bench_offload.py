"""Decoding with the weights on disk, computed by the CPU, beside accelerate's `disk_offload`.

124M shape with random weights, greedy, one row, 32 prompt tokens: in float32, and with each
quantizer. Each contestant runs in processes of its own, all taking turns; tokens per second are
those of the fastest step of all rounds, prefill left out. `held` is what the process holds more
while it decodes than before it had the model, in MB: anonymous memory, and pages of files that are
mapped. Weights stay in the system's page cache throughout, so this is what offloading costs, not
what a disk does.

    python benchmarks/bench_offload.py [--rounds 5] [--new 32]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from random_model import SIZES, write_random_model
from record import save

PROMPT = [(104_729 * place) % 50_000 for place in range(32)]
Step = Callable[[list[int]], int]


def gpt2sdk_model(quantization: str | None, placement: str | None, model: str, _: str) -> Step:
    """Return a step of this library's model, loaded as users do."""
    from gpt2sdk.loading import LoadSettings, load  # noqa: PLC0415 - each process its own

    settings = LoadSettings(device="cpu", quantization=quantization, placement=placement)
    loaded = load(model, settings).model
    loaded.prepare()
    cache = loaded.make_cache(1)

    def step(tokens: list[int]) -> int:
        return int(loaded.score(cache, [tokens], [1]).logits.argmax())

    return step


def accelerate_model(_: str, folder: str) -> Step:
    """Return a step of transformers' model, offloaded by accelerate."""
    from accelerate import disk_offload  # noqa: PLC0415
    from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel  # noqa: PLC0415

    model = disk_offload(GPT2LMHeadModel(GPT2Config()).eval(), folder, torch.device("cpu"))
    cache = DynamicCache()

    def step(tokens: list[int]) -> int:
        with torch.inference_mode():
            out = model(torch.tensor([tokens]), cache=cache, use_cache=True, logits_to_keep=1)
        return int(out.logits[0, -1].argmax())

    return step


QUANTIZERS = (None, "int8", "int4", "bnb_int8", "bnb_nf4")
PLACEMENTS = (None, "disk_offload")
PEER = "accelerate disk_offload"
CONTESTANTS: dict[str, Callable[[str, str], Step]] = {
    f"gpt2sdk {quantization or 'float32'} {placement or 'in memory'}": partial(
        gpt2sdk_model, quantization, placement
    )
    for quantization in QUANTIZERS
    for placement in PLACEMENTS
}
CONTESTANTS[PEER] = accelerate_model


def run(name: str, model: str, new: int) -> dict[str, float]:
    """Decode in this process."""
    torch.empty(0)
    before = held()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        step = CONTESTANTS[name](model, folder)
        token = step([step(PROMPT)])
        most = Most()
        seconds = []
        for _ in range(new):
            started = time.perf_counter()
            token = step([token])
            seconds.append(time.perf_counter() - started)
        # Of the fastest step: what else the machine does only slows the others down.
        return {"tokens_per_second": 1 / min(seconds), "held_mb": (most.stop() - before) / 1e6}


class Most:
    """The most that this process holds, looked at every millisecond."""

    def __init__(self) -> None:
        self._most = held()
        self._running = True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        """Return it, in bytes."""
        self._running = False
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while self._running:
            self._most = max(self._most, held())
            time.sleep(0.001)


def held() -> int:
    """Bytes of this process that are in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pages = dict(line.split(":", 1) for line in lines if line.startswith("Rss"))
    return 1024 * sum(int(kilobytes.split()[0]) for kilobytes in pages.values())


def main() -> None:
    """Let the contestants take turns, and write down what they did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--contestant", choices=CONTESTANTS)
    parser.add_argument("--model", default="")
    arguments = parser.parse_args()
    if arguments.contestant:
        print(json.dumps(run(arguments.contestant, arguments.model, arguments.new)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        write_random_model(Path(folder) / "model", SIZES["124M"])
        options = ["--new", str(arguments.new), "--model", str(Path(folder) / "model")]
        for _ in range(arguments.rounds):
            for name in CONTESTANTS:
                command = [sys.executable, __file__, *options, "--contestant", name]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    best = {
        name: max(runs, key=lambda each: each["tokens_per_second"]) for name, runs in found.items()
    }
    save(
        "offload",
        [
            {
                "contestant": name,
                **values,
                "times_accelerate": values["tokens_per_second"] / best[PEER]["tokens_per_second"],
            }
            for name, values in best.items()
        ],
    )


if __name__ == "__main__":
    main()
