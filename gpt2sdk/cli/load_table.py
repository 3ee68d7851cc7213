"""A plan of loading, as people read it."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import RenderableType
from rich.text import Text

from gpt2sdk.cli.tables import heading, show, table
from gpt2sdk.loading import DevicePlan, LoadPlan, PartPlan, size_text

_TITLES = ("part", "weights", "in memory", "in the file", "where", "why")
_REASON = _TITLES.index("why")


def show_plan(plan: LoadPlan) -> None:
    """Print what loading a model will do."""
    how = ", ".join(
        [
            str(plan.dtype).removeprefix("torch."),
            *([plan.quantizer.name] if plan.quantizer else []),
            *([plan.placement.name] if plan.placement else []),
        ]
    )
    rows = [_row(parts) for parts in _alike(plan.parts)]
    total = ("all", "", size_text(plan.nbytes), size_text(plan.file_nbytes), "", "")
    # Without a placement there is nothing to choose.
    shown = len(_TITLES) if any(row[_REASON] for row in rows) else _REASON
    cells = [row[:shown] for row in [*rows, total]]
    show(heading("plan", how), table(cells, _TITLES[:shown]), _totals(plan))


def _totals(plan: LoadPlan) -> RenderableType:
    """Return what each device holds, and what else there is to say."""
    cache = f"{size_text(plan.cache_nbytes_per_1000_tokens)} per 1,000 tokens of a row"
    rows = [
        ("keys and values", cache),
        *([("states", f"{size_text(plan.row_nbytes)} of each row")] if plan.row_nbytes else []),
        *((name, _device(name, device, plan)) for name, device in plan.devices.items()),
        *((f"kernels on {name}", kernel) for name, kernel in plan.kernels.items()),
        *([("runner", ", else ".join(plan.runners))] if plan.runners else []),
        *(("note", note) for note in plan.notes),
    ]
    return table([(Text(title, style="dim"), text) for title, text in rows])


def _device(name: str, device: DevicePlan, plan: LoadPlan) -> str:
    weights = f"{size_text(device.weights)} of weights"
    if name == "disk":
        return weights
    loading = f"and {size_text(device.workspace)} while loading"
    cache = f"{size_text(device.cache)} for {plan.reserved_tokens:,} tokens"
    passing = f" and {size_text(device.passing)} for parts that pass" if device.passing else ""
    budget = "" if device.budget is None else f"; {size_text(device.budget)} may be used"
    later = f"or {cache}{passing} later"
    return f"{weights}, {loading} {later}: at most {size_text(device.peak)}{budget}"


def _alike(parts: Sequence[PartPlan]) -> Iterator[list[PartPlan]]:
    """Group neighbouring blocks that only differ in their number."""
    for _, group in groupby(parts, key=_essence):
        yield list(group)


def _essence(part: PartPlan) -> object:
    return (
        re.sub(r"\d+", "", part.name),
        part.formats,
        part.nbytes,
        part.file_nbytes,
        part.device,
        part.kept,
        part.reason,
    )


def _row(parts: Sequence[PartPlan]) -> tuple[str, ...]:
    first, last = parts[0], parts[-1]
    several = len(parts) > 1
    each = " each" if several else ""
    return (
        f"{first.name} … {last.name}" if several else first.name or "model",
        ", ".join(first.formats) or "as they are",
        size_text(first.nbytes) + each,
        size_text(first.file_nbytes) + each,
        first.device if first.kept == "device" else f"{first.device}, kept on the {first.kept}",
        first.reason,
    )
