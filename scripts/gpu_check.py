"""Run the GPU tests and the GPU benchmarks, within ten minutes, and write what came of it as JSON.

    python scripts/gpu_check.py [gpu_check.json]

Leaves 1 behind if there is no GPU, or something failed.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
STEPS = {
    "tests": ([sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests", "plugins"], 240),
    "decode": (
        [
            sys.executable,
            "benchmarks/bench_decode.py",
            *["--device", "cuda", "--runners", "torch", "--minutes", "4"],
        ],
        330,
    ),
}
RESULTS = ("decode_cuda",)


def run(command: list[str], limit: int) -> dict[str, object]:
    """Run one step; what it printed last is kept."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False
        )
        code, output = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        code, output = 124, str(error.stdout or "")
    seconds = time.monotonic() - started
    return {"exit": code, "seconds": round(seconds, 1), "output": output[-6000:]}


def main() -> int:
    """Run all steps."""
    if not torch.cuda.is_available():
        print("there is no GPU: nothing was checked", file=sys.stderr)
        return 1
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "gpu_check.json")
    record: dict[str, object] = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    failed = False
    for name, (command, limit) in STEPS.items():
        record[name] = outcome = run(command, limit)
        failed |= bool(outcome["exit"])
        print(f"{name}: exit {outcome['exit']} after {outcome['seconds']} s")
    for name in RESULTS:
        file = ROOT / "benchmarks" / "results" / f"{name}.json"
        if file.exists():
            record[name] = json.loads(file.read_text())
    target.write_text(json.dumps(record, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
