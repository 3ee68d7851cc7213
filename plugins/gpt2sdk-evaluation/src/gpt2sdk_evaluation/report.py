"""Measurements of files, as JSON and as people read them."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpt2sdk_evaluation.measurement import Measurement

Named = tuple[str, Measurement]
"""A measurement, and the file it is of."""

# Wide enough that nothing is wrapped where no one looks at it.
_UNLIMITED = 10_000


def show_json(measured: Sequence[Named]) -> None:
    """Print measurements as a list of objects; what is not defined is null."""
    record = [{"file": name, **_defined(asdict(found))} for name, found in measured]
    sys.stdout.write(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def show_table(measured: Sequence[Named]) -> None:
    """Print a row for each metric and a column for each file."""
    console = Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else _UNLIMITED,
        markup=False,
        emoji=False,
        highlight=False,
    )
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column("")
    for name, _ in measured:
        grid.add_column(Text(name), justify="right")
    for metric in Measurement.__dataclass_fields__:
        cells = [_cell(getattr(found, metric)) for _, found in measured]
        if any(cells):
            grid.add_row(metric, *cells)
    with console.capture() as capture:
        console.print(grid)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _cell(value: object) -> str:
    """Write a number; empty for none.

    >>> _cell(12), _cell(0.25), _cell(math.nan), _cell(None)
    ('12', '0.2500', '–', '')
    """
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    number = value if isinstance(value, float) else getattr(value, "score", math.nan)
    return "–" if math.isnan(number) else f"{number:.4f}"


def _defined(record: dict[str, object]) -> dict[str, object]:
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in record.items()
    }
