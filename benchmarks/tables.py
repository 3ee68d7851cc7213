"""Records of benchmarks, and tables of them in Markdown."""

import json
from collections.abc import Iterable, Mapping

from record import RESULTS

MISSING = "–"
Row = Mapping[str, object]


def record(name: str) -> Mapping[str, object] | None:
    """Read a benchmark's record; `None` if it is not here."""
    file = RESULTS / f"{name}.json"
    found: Mapping[str, object] | None = json.loads(file.read_text()) if file.exists() else None
    return found


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    """Lay cells out as Markdown; numbers stand at the right.

    >>> print(table(["a", "b"], [["x", "1"]]))
    | a | b |
    | --- | ---: |
    | x | 1 |
    """
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def middle(row: Row | None, key: str) -> float | None:
    """Return the median of a row's spread; `None` where there is none."""
    spread = row.get(key) if row is not None else None
    return float(spread["median"]) if isinstance(spread, dict) else None


def shown(value: float | None, pattern: str) -> str:
    """Write a number, or a dash.

    >>> shown(0.5, "{:.0%}"), shown(None, "{:.0%}")
    ('50%', '–')
    """
    return MISSING if value is None else pattern.format(value)


def with_spread(row: Row | None, key: str, factor: float = 1.0, digits: int = 1) -> str:
    """Write a median with its quartiles.

    >>> with_spread({"x": {"median": 2.0, "low": 1.5, "high": 2.5}}, "x")
    '2.0 (1.5–2.5)'
    """
    spread = row.get(key) if row is not None else None
    if not isinstance(spread, dict):
        return MISSING
    median, low, high = (f"{factor * spread[part]:.{digits}f}" for part in spread)
    return f"{median} ({low}–{high})"
