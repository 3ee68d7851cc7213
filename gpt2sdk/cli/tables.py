"""Tables: wrapped and coloured on a terminal, in whole lines elsewhere."""

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gpt2sdk.cli.terminal import is_watched, wants_colours

# Wide enough that nothing is wrapped where no one looks at it: `grep` finds whole lines.
_UNLIMITED = 10_000
_WIDE = 120


def has_room() -> bool:
    """Whether lines may be long: nobody watches, or the terminal is wide."""
    return _console().width >= _WIDE


def show(*parts: RenderableType) -> None:
    """Print texts and tables one below the other."""
    console = _console()
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def heading(title: str, remark: str = "") -> Text:
    """Return the line above a table."""
    return Text.assemble((title, "bold"), ("  " + remark if remark else "", "dim"))


def table(
    rows: Iterable[Sequence[str | Text]], titles: Sequence[str] = (), *, names: int = 1
) -> RenderableType:
    """Return rows in aligned columns, indented.

    Args:
        rows: The cells of each row.
        titles: What stands above the columns, if anything does.
        names: How many columns, from the left, hold names and are not wrapped.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    grid = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(titles), header_style="dim"
    )
    for column in range(max(map(len, cells), default=len(titles))):
        title = titles[column] if titles else ""
        grid.add_column(title, overflow="fold", no_wrap=column < names)
    for row in cells:
        grid.add_row(*row)
    return Padding(grid, (0, 0, 0, 2), expand=False)


def indented(text: str | Text, by: int) -> RenderableType:
    """Return text that keeps its distance from the left edge where it is wrapped."""
    return Padding(_cell(text), (0, 0, 0, by), expand=False)


def _cell(cell: str | Text) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


def _console() -> Console:
    unlimited = not is_watched() and "COLUMNS" not in os.environ
    return Console(
        file=sys.stdout,
        width=_UNLIMITED if unlimited else None,
        color_system="auto" if wants_colours() else None,
        markup=False,
        emoji=False,
        highlight=False,
    )
