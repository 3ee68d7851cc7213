"""Every event of a run as a line of JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from gpt2sdk_train.errors import TrainingError
from gpt2sdk_train.events import Event, Started


class JsonLinesLog:
    """Appends events to a file: `{"event": "stepped", "step": 7, "loss": 2.31, …}`.

    When a run goes on from a checkpoint, lines about later steps are dropped, so that the file
    reads as if there had been no interruption.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)

    def __call__(self, event: Event) -> None:
        """Write one line.

        Raises:
            TrainingError: If it cannot be written.
        """
        try:
            if isinstance(event, Started):
                self._drop_after(event.step)
            with self._file.open("a", encoding="utf-8") as opened:
                opened.write(f"{json_line(event)}\n")
        except OSError as error:
            raise TrainingError(
                f"{self._file}: cannot be written: {error.strerror or error}", step=event.step
            ) from error

    def _drop_after(self, step: int) -> None:
        if not self._file.is_file():
            return
        lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = "".join(line for line in lines if _step(line) <= step)
        new = self._file.with_suffix(".new")
        new.write_text(kept, encoding="utf-8")
        new.replace(self._file)


def json_line(event: Event) -> str:
    """Spell an event as an object of JSON; numbers that are not finite are refused.

    >>> from gpt2sdk_train import Ended
    >>> json_line(Ended(step=7, reason="finished"))
    '{"event": "ended", "step": 7, "reason": "finished"}'
    """
    fields = {"event": type(event).__name__.lower(), **asdict(event)}
    return json.dumps(fields, default=str, allow_nan=False)


def _step(line: str) -> float:
    """Return a line's step; one that was cut off by a crash comes after all others."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")
