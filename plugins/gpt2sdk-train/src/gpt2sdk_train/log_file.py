"""Every event of a run as a line of JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from gpt2sdk_train.events import Event, Started


class JsonLinesLog:
    """Appends events to a file: `{"event": "stepped", "step": 7, "loss": 2.31, …}`.

    When a run goes on from a checkpoint, lines about later steps are dropped, so that the file
    reads as if there had been no interruption.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)

    def __call__(self, event: Event) -> None:
        """Write one line."""
        if isinstance(event, Started):
            self._drop_after(event.step)
        kind = type(event).__name__.lower()
        line = json.dumps({"event": kind, **asdict(event)}, default=str)
        with self._file.open("a", encoding="utf-8") as opened:
            opened.write(f"{line}\n")

    def _drop_after(self, step: int) -> None:
        if not self._file.is_file():
            return
        lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = "".join(line for line in lines if _step(line) <= step)
        new = self._file.with_suffix(".new")
        new.write_text(kept, encoding="utf-8")
        new.replace(self._file)


def _step(line: str) -> float:
    """Return a line's step; one that was cut off by a crash comes after all others."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")
