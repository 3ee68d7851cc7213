"""How far a command is, on standard error and only where somebody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


@contextmanager
def byte_progress(what: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show how many bytes were written.

    Args:
        what: What is being done.
        shown: Whether to show it, if standard error is a terminal.

    Yields:
        What is told of bytes as they are written.
    """
    columns = TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    console = Console(file=sys.stderr)
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda nbytes: progress.advance(task, nbytes)
