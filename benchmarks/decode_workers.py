"""Engines in processes of their own, which are asked one at a time."""

import json
import os
import selectors
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
SILENCE = 900.0
"""Seconds after which a worker that does not answer is given up."""


class WorkerError(Exception):
    """An engine is missing, ended or does not answer."""


@dataclass(frozen=True)
class Spec:
    """An engine that may take part.

    Attributes:
        library: Whose it is.
        weights: In which form it holds weights, in its own words.
        runner: What computes; empty where there is no choice.
    """

    library: str
    weights: str
    runner: str = ""

    @property
    def name(self) -> str:
        """What it is called on the command line and in the record."""
        return " ".join(filter(None, (self.library, self.runner, self.weights)))

    @property
    def nbits(self) -> float:
        """About how many bits a weight takes, to guess memory."""
        known = {"float32": 32, "F32": 32, "bfloat16": 16, "BF16": 16}
        return known.get(self.weights, 10)


class Worker:
    """A process with one engine."""

    def __init__(self, spec: Spec, python: str, folder: Path, *, threads: int, device: str) -> None:
        settings = {
            "folder": str(folder),
            "weights": spec.weights,
            "threads": threads,
            "device": device,
            "runner": spec.runner,
        }
        module = f"engine_{spec.library.replace('.', '_')}"
        self.process = subprocess.Popen(
            [python, str(FOLDER / "worker.py"), module, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        )
        self._found = b""
        try:
            self.about = self._answer()
        except BaseException:
            self.close()
            raise
        if "missing" in self.about:
            self.close()
            raise WorkerError(self.about["missing"])

    def ask(self, job: dict[str, object]) -> dict:
        """Have the engine do something.

        Raises:
            WorkerError: Its process ended, or is silent.
        """
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            message = f"its process ended with {self.process.wait()}"
            raise WorkerError(message) from None
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _answer(self) -> dict:
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._found:
                if not selector.select(SILENCE):
                    message = f"it did not answer within {SILENCE:.0f} s"
                    raise WorkerError(message)
                read = os.read(self.process.stdout.fileno(), 1 << 20)
                if not read:
                    message = f"its process ended with {self.process.wait()}"
                    raise WorkerError(message)
                self._found += read
        line, _, self._found = self._found.partition(b"\n")
        found: dict = json.loads(line)
        return found


def all_specs(runners: list[str]) -> list[Spec]:
    """Return every engine; the first one is what the others are compared with."""
    ours = ("float32", "bfloat16", "int8", "int8-a8", "int4", "int4-g32", "bnb-int8", "bnb-nf4")
    return [
        Spec("transformers", "float32"),
        Spec("transformers", "bfloat16"),
        *(Spec("gpt2sdk", weights, runner) for runner in runners for weights in ours),
        *(Spec("ctranslate2", weights) for weights in ("float32", "int8")),
        *(Spec("llama.cpp", weights) for weights in ("F32", "BF16", "Q8_0")),
    ]


def python_of(spec: Spec, peers: str | None) -> str:
    """Return the Python that has an engine's library."""
    apart = spec.library in ("ctranslate2", "llama.cpp")
    return peers if apart and peers else sys.executable
