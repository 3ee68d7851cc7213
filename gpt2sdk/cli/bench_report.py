"""What was measured, as JSON and as people read it."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from gpt2sdk.benchmark.machine import describe_machine
from gpt2sdk.benchmark.timing import Timing
from gpt2sdk.benchmark.turns import Spread
from gpt2sdk.cli.tables import heading, show, table

_DECODING = ("engine", "rows", "tokens/s", "ms a step", "of read rate", "times first")
_FIRST = ("engine", "prompt", "first token, ms", "prompt tokens/s", "of products", "times first")
_PARTS = ("read", "pass", "loop", "options")


def as_record(model: str, found: Sequence[Timing], options: Sequence[str]) -> dict[str, object]:
    """Return everything as JSON has it.

    Args:
        model: The model's name.
        found: What was measured.
        options: What stood behind `-o`.
    """
    return {
        "model": model,
        "machine": describe_machine(),
        "options": list(options),
        "cases": [each.as_dict() for each in found],
    }


def show_bench(model: str, found: Sequence[Timing]) -> None:
    """Print tables: decoding, a step's parts, and the first token."""
    machine = describe_machine()
    sets = ", ".join(str(each) for each in _listed(machine["instruction_sets"]))
    rate = found[0].read_rate
    show(
        heading(model, f"{machine['processor']}, {machine['threads']} threads, {sets}"),
        Text(
            f"the weights of {found[0].engine!r} are read at {rate / 1e9:.1f} GB/s; "
            f"{len(found[0].turns)} rounds"
        ),
    )
    steps = [each for each in found if each.case.new > 1]
    begun = [each for each in found if each.case.new == 1]
    show("", table([_decoding(each) for each in steps], _DECODING))
    show("", heading("a step", "milliseconds"), _budgets(steps))
    if begun:
        show("", table([_first(each) for each in begun], _FIRST))


def _decoding(each: Timing) -> list[str]:
    share = each.share_of_read
    return [
        each.engine,
        str(each.case.rows),
        f"{each.tokens_per_second.median:,.0f}",
        f"{1e3 * sum(each.budget()[part] for part in _PARTS[:2]):.2f}",
        "" if share is None else _percent(share),
        _times(each.times),
    ]


def _first(each: Timing) -> list[str]:
    return [
        each.engine,
        str(each.case.prompt),
        f"{1e3 / each.tokens_per_second.median:.1f}",
        f"{each.prefill.median:,.0f}",
        _percent(each.share_of_product),
        _times(each.times),
    ]


def _budgets(steps: Sequence[Timing]) -> RenderableType:
    parts = [part for part in _PARTS if part in steps[0].budget()]
    lines = [
        [each.engine, str(each.case.rows), *(f"{1e3 * each.budget()[p]:.2f}" for p in parts)]
        for each in steps
    ]
    return table(lines, ("engine", "rows", *parts))


def _percent(share: Spread) -> str:
    return f"{share.median:.0%} ({share.low:.0%} to {share.high:.0%})"


def _times(ratio: Spread) -> str:
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
