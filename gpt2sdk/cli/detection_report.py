"""Detections in named texts, as JSON and as people read them."""

from collections.abc import Sequence

from gpt2sdk.cli.score_report import label
from gpt2sdk.cli.tables import show, table
from gpt2sdk.components.detector import Detection

_TITLES = ("", "tokens", "judged", "p-value", "z")

Named = tuple[str, str, Detection]
"""Where a text is from, the text, and what was found in it."""


def report(named: Sequence[Named]) -> list[dict[str, object]]:
    """Return detections as JSON-ready values."""
    return [
        {
            "source": source,
            "p_value": found.p_value,
            "log_p_value": found.log_p_value,
            "z_score": found.z_score,
            "statistic": found.statistic,
            "mean": found.mean,
            "deviation": found.deviation,
            "count": found.count,
            "tokens": found.token_count,
        }
        for source, _, found in named
    ]


def show_report(named: Sequence[Named]) -> None:
    """Print detections as a table."""
    show(table([_row(label(source, text), found) for source, text, found in named], _TITLES))


def _row(name: str, found: Detection) -> tuple[str, ...]:
    return (
        name,
        f"{found.token_count:,}",
        f"{found.count:,}",
        f"{found.p_value:.3g}",
        f"{found.z_score:.2f}",
    )
