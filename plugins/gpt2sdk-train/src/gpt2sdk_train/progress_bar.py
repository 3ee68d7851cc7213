"""A progress bar for a terminal: steps, loss, speed and what is left."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from gpt2sdk_train.events import Ended, Event, Saved, Started, Stepped, Validated


class ProgressBar:
    """Shows a run on a console, and prints a line for each validation.

    On what is no terminal, only these lines are printed.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("loss {task.fields[loss]:.3f}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]:,.0f} tokens/s"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Started():
                self._start(event)
            case Stepped() if self._task is not None:
                self._progress.update(
                    self._task,
                    completed=event.step,
                    loss=event.loss,
                    speed=event.tokens_per_second,
                )
            case Validated():
                self._console.print(_line(event), highlight=False)
            case Ended():
                self._progress.stop()
            case Stepped() | Saved():
                pass

    def _start(self, event: Started) -> None:
        self._console.print(
            f"{event.parameters:,} parameters on {event.tokens:,} tokens, "
            f"{_span(event)}, {event.processes} process(es)",
            highlight=False,
        )
        self._progress.start()
        self._task = self._progress.add_task(
            "", total=event.steps, completed=event.step, loss=float("nan"), speed=0.0
        )


def _span(event: Started) -> str:
    """Say which steps are to be made.

    >>> _span(Started(step=4, steps=9, parameters=1, tokens=1, processes=1))
    'steps 5 to 9'
    >>> _span(Started(step=9, steps=9, parameters=1, tokens=1, processes=1))
    'all 9 steps made before'
    """
    if event.step >= event.steps:
        return f"all {event.steps} steps made before"
    return f"steps {event.step + 1} to {event.steps}"


def _line(event: Validated) -> str:
    """Say how a validation went.

    >>> _line(Validated(step=7, loss=2.5, bits_per_byte=1.25, best=True))
    'step 7: validation loss 2.500, 1.250 bits per byte, the best so far'
    """
    best = ", the best so far" if event.best else ""
    return (
        f"step {event.step}: validation loss {event.loss:.3f}, {event.bits_per_byte:.3f} bits per "
        f"byte{best}"
    )
