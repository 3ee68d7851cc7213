"""The shapes of the tensors on their way through a model, as people read them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from gpt2sdk.cli.tables import show, table
from gpt2sdk.components.placement import is_block
from gpt2sdk.components.shape_table import ShapeRow

_TITLES = ("module", "kind", "in", "out", "parameters")


def show_walk(shapes: Sequence[ShapeRow], parts: Sequence[str]) -> None:
    """Print the shapes; of blocks that are alike, those of the first.

    Args:
        shapes: The modules' rows, in the model's order.
        parts: The model's parts.
    """
    blocks = [part for part in parts if is_block(part)]
    show("", table(_rows(shapes, blocks), _TITLES))


def _rows(shapes: Sequence[ShapeRow], blocks: Sequence[str]) -> Iterator[list[str]]:
    runs = [(name, list(rows)) for name, rows in groupby(shapes, lambda row: _block(row, blocks))]
    for _, group in groupby(runs, lambda run: _likeness(*run)):
        (first, rows), *others = group
        yield from map(_cells, rows)
        if others:
            (name, second), last = others[0], others[-1][0]
            several = f" to {last}" if len(others) > 1 else ""
            yield [f"{name}{several}", f"like {first}", "", "", _size(second)]


def _block(row: ShapeRow, blocks: Sequence[str]) -> str:
    """Return the block that a module is in; nothing where it is in none."""
    return next((block for block in blocks if f"{row.name}.".startswith(f"{block}.")), "")


def _likeness(block: str, rows: Sequence[ShapeRow]) -> object:
    """Return what blocks share whose rows differ in the block's number alone."""
    if not block:
        return rows[0].name
    inside = [
        (row.name.removeprefix(block), row.kind, row.inputs, row.outputs, row.parameters)
        for row in rows
    ]
    return block.rpartition(".")[0], inside


def _cells(row: ShapeRow) -> list[str]:
    return [row.name, row.kind, _shape(row.inputs), _shape(row.outputs), _size([row])]


def _shape(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))


def _size(rows: Iterable[ShapeRow]) -> str:
    """How many parameters modules have; nothing for none."""
    parameters = sum(row.parameters for row in rows)
    return f"{parameters:,}" if parameters else ""
