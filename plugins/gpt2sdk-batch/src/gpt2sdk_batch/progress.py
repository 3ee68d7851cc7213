"""How far a run is: as events for programs, and as a bar for people."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a run is.

    Attributes:
        event: `started`, `progress`, and at the end `finished` or `stopped`.
        lines: How many lines it has to do, those of its shard.
        done: How many are done, those of earlier runs included.
        errors: How many of them are errors.
        tokens: How many tokens this run wrote.
        seconds: How long it has been at work.
        lines_per_second: How fast it is.
        remaining: How many seconds it will take at this rate; `None` where nobody knows.
    """

    event: Literal["started", "progress", "finished", "stopped"]
    lines: int
    done: int
    errors: int = 0
    tokens: int = 0
    seconds: float = 0.0
    lines_per_second: float = 0.0
    remaining: float | None = None


Watch = Callable[[BatchProgress], None]
"""Who is told how far a run is."""


class BatchMeter:
    """Tells how far a run is, at most once a second."""

    def __init__(self, lines: int, done: int, watch: Watch) -> None:
        self._lines, self._before, self._watch = lines, done, watch
        self._start = self._told = time.monotonic()
        self._tokens = 0

    def tell(
        self,
        event: Literal["started", "progress", "finished", "stopped"],
        done: int,
        errors: int,
        tokens: int = 0,
    ) -> BatchProgress:
        """Tell whoever watches, unless that was done just now, and return what is known.

        Args:
            event: What happened.
            done: How many lines are done.
            errors: How many are errors.
            tokens: How many tokens were written since the last time.
        """
        self._tokens += tokens
        now = time.monotonic()
        seconds = now - self._start
        rate = (done - self._before) / seconds if seconds > 0 else 0.0
        left = self._lines - done
        remaining = 0.0 if not left else (left / rate if rate else None)
        known = BatchProgress(
            event, self._lines, done, errors, self._tokens, seconds, rate, remaining
        )
        if event != "progress" or now - self._told >= _SECONDS:
            self._told = now
            self._watch(known)
        return known


def print_event(event: BatchProgress) -> None:
    """Print an event as a line of JSON."""
    fields = {name: getattr(event, name) for name in BatchProgress.__dataclass_fields__}
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in fields.items()
    }
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()


class BatchBar:
    """A bar on standard error, where that is a terminal; elsewhere a line at the end alone."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.1f} lines/s"),
            TextColumn("{task.fields[errors]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __call__(self, event: BatchProgress) -> None:
        """Show an event."""
        errors = f"{event.errors} errors" if event.errors else ""
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("", total=event.lines, rate=0.0, errors=errors)
        self._bar.update(
            self._task, completed=event.done, rate=event.lines_per_second, errors=errors
        )
        if event.event in ("finished", "stopped"):
            self._bar.stop()
            self._console.print(summary(event), highlight=False, markup=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()


def summary(event: BatchProgress) -> str:
    """Say in one line how a run went.

    >>> summary(BatchProgress("finished", 9, 9, 1, 120, 2.0, 4.5))
    '9 of 9 lines, 1 error, 120 tokens, 4.5 lines/s'
    """
    parts = [f"{event.done:,} of {event.lines:,} lines"]
    if event.errors:
        parts.append(f"{event.errors:,} error{'s' * (event.errors != 1)}")
    if event.tokens:
        parts.append(f"{event.tokens:,} tokens")
    if event.lines_per_second:
        parts.append(f"{event.lines_per_second:,.1f} lines/s")
    stopped = ["stopped: the same again goes on"] if event.event == "stopped" else []
    return ", ".join([*parts, *stopped])
