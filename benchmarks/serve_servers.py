"""Servers as processes of their own, each ended when it is no longer needed."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from urllib.error import URLError

PATIENCE = 180.0
"""Seconds that a server has to load its model."""


class ServerError(Exception):
    """A server is missing, or ended at once."""


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        port: Where.
        process: Its process.
        log: What it wrote.
    """

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def held_mb(self) -> float:
        """What its process holds, in megabytes."""
        return held_mb(self.process.pid)

    @property
    def worked(self) -> float:
        """Seconds of processors that its process has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]


def held_mb(pid: int) -> float:
    """What a process holds, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


@contextmanager
def ours(model: str, *flags: str, threads: int = 1) -> Iterator[Running]:
    """Run `gpt2sdk serve`."""
    command = [sys.executable, "-m", "gpt2sdk", "serve", model, *flags]
    with serving(command, threads) as running:
        yield running


@contextmanager
def llama_cpp(python: str, model: Path, threads: int) -> Iterator[Running]:
    """Run llama-cpp-python's server; requests wait for one another rather than end one another."""
    settings = {
        "model": str(model),
        "n_ctx": "512",
        "n_threads": str(threads),
        "n_threads_batch": str(threads),
        "interrupt_requests": "False",
        "verbose": "False",
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    with serving([python, "-m", "llama_cpp.server", *flags], threads) as running:
        yield running


@contextmanager
def serving(command: Sequence[str], threads: int) -> Iterator[Running]:
    """Run a server until it is no longer needed.

    Raises:
        ServerError: It does not answer.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as opened:
            process = subprocess.Popen(
                [*command, "--port", str(port)],
                stdout=opened,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
            )
        running = Running(port, process, log)
        try:
            _wait(running)
            yield running
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(running: Running) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if running.process.poll() is not None:
            raise ServerError(f"the server ended: {running.said}")
        with suppress(URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{running.port}/v1/models", timeout=5).close()
            return
        time.sleep(0.2)
    raise ServerError(f"the server does not answer: {running.said}")
