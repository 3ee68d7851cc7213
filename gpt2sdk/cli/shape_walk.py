"""The shapes of the tensors on their way through a model; nothing is computed."""

import re
from collections.abc import Iterable, Sequence

import torch

from gpt2sdk.cli.tables import show, table
from gpt2sdk.components.architecture import Architecture
from gpt2sdk.errors import OptionError
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.gpt2.shape_table import ShapeRow, describe_shapes

_TITLES = ("module", "kind", "in", "out", "parameters")
_BLOCK = re.compile(r"h\.(\d+)")


def walk(architecture: Architecture) -> list[ShapeRow]:
    """Follow a short sequence through a model.

    Raises:
        OptionError: If it is no GPT-2.
    """
    model = architecture.empty_model(torch.float32)
    if not isinstance(model, GPT2):
        message = f"--shapes follows a GPT-2, the model is a {architecture.name}: leave it out"
        raise OptionError(message, name="shapes")
    return describe_shapes(model)


def show_walk(shapes: Sequence[ShapeRow]) -> None:
    """Print the shapes, those of the first block for all."""
    blocks = 1 + max(map(_block, shapes))
    rows = [_cells(row) for row in shapes if _block(row) < 1]
    if blocks > 1:
        behind = 1 + max(number for number, row in enumerate(shapes) if _block(row) == 0)
        size = _size(row for row in shapes if _block(row) == 1)
        last = f" to h.{blocks - 1}" if blocks > 2 else ""
        rows.insert(behind, [f"h.1{last}", "like h.0", "", "", size])
    show("", table(rows, _TITLES))


def _block(row: ShapeRow) -> int:
    """The number of the block that a module is in; -1 where it is in none."""
    found = _BLOCK.match(row.name)
    return int(found[1]) if found else -1


def _cells(row: ShapeRow) -> list[str]:
    return [row.name, row.kind, _shape(row.inputs), _shape(row.outputs), _size([row])]


def _shape(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))


def _size(rows: Iterable[ShapeRow]) -> str:
    """How many parameters modules have; nothing for none."""
    parameters = sum(row.parameters for row in rows)
    return f"{parameters:,}" if parameters else ""
