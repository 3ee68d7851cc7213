"""Decoding with the weights on disk, computed by the CPU, beside accelerate's `disk_offload`.

124M shape with random weights in float32, greedy, one row, 32 prompt tokens. Each contestant runs
in processes of its own, all taking turns; tokens per second are the median over rounds, prefill
left out. `held` is what the process holds more while it decodes than before it had the model, in
MB: anonymous memory, and pages of files that are mapped. Weights stay in the system's page cache
throughout, so this is what offloading costs, not what a disk does.

    python benchmarks/bench_offload.py [--rounds 5] [--new 32]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from record import save

PROMPT = [(104_729 * place) % 50_000 for place in range(32)]
Step = Callable[[list[int]], int]


def gpt2sdk_model(placement: str | None) -> Step:
    """Return a step of this library's model, prepared."""
    from gpt2sdk import GPT2Config, Part  # noqa: PLC0415 - each process imports its own
    from gpt2sdk.gpt2 import GPT2  # noqa: PLC0415

    model = GPT2(GPT2Config()).eval()
    if placement is not None:
        from gpt2sdk_accelerate.disk_offload import DiskOffload  # noqa: PLC0415

        names = ["wte", "wpe", *(f"h.{layer}" for layer in range(model.layers)), "ln_f"]
        modules = {name: model.get_submodule(name) for name in names}
        sizes = {
            name: sum(each.nbytes for each in module.parameters())
            for name, module in modules.items()
        }
        parts = [Part(name, size, size) for name, size in sizes.items()]
        plan = DiskOffload().plan(parts, {"cpu": 2**40})
        residency = DiskOffload().residency(plan, model)
        for name, module in modules.items():
            residency.stow(name, module)
        model.set_residency(residency)
    model.prepare()
    cache = model.make_cache(1)

    def step(tokens: list[int]) -> int:
        return int(model.score(cache, [tokens], [1]).logits.argmax())

    return step


def accelerate_model(folder: str) -> Step:
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


CONTESTANTS: dict[str, Callable[[str], Step]] = {
    "gpt2sdk in memory": lambda _: gpt2sdk_model(None),
    "gpt2sdk disk_offload": lambda _: gpt2sdk_model("disk_offload"),
    "accelerate disk_offload": accelerate_model,
}


def run(name: str, new: int) -> dict[str, float]:
    """Decode in this process."""
    torch.empty(0)
    before = held()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        step = CONTESTANTS[name](folder)
        token = step([step(PROMPT)])
        most = Most()
        started = time.perf_counter()
        for _ in range(new):
            token = step([token])
        seconds = time.perf_counter() - started
        return {"tokens_per_second": new / seconds, "held_mb": (most.stop() - before) / 1e6}


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
    arguments = parser.parse_args()
    if arguments.contestant:
        print(json.dumps(run(arguments.contestant, arguments.new)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.rounds):
        for name in CONTESTANTS:
            command = [sys.executable, __file__, "--new", str(arguments.new), "--contestant", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    peer = "accelerate disk_offload"
    median = {
        name: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    save(
        "offload",
        [
            {
                "contestant": name,
                **values,
                "times_accelerate": values["tokens_per_second"] / median[peer]["tokens_per_second"],
            }
            for name, values in median.items()
        ],
    )


if __name__ == "__main__":
    main()
