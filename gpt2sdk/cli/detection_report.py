"""Detections in named texts, as JSON and as people read them."""

import json
from collections.abc import Sequence

from gpt2sdk.cli.score_report import label
from gpt2sdk.cli.tables import show, table
from gpt2sdk.components.detector import Detection
from gpt2sdk.errors import OptionError

_TITLES = ("", "tokens", "judged", "p-value", "z")

Named = tuple[str, str, Detection]
"""Where a text is from, the text, and what was found in it."""


def judged(texts: Sequence[tuple[str, str]], *, lines: bool) -> list[tuple[str, str]]:
    r"""Return texts to judge: those of results one by one, and lines, each with where it is from.

    Args:
        texts: What was read, with where it is from.
        lines: Whether each line that is not empty is a text.

    Raises:
        OptionError: Of a file with lines nothing is left.

    >>> judged([("a.txt", "One.\n\nTwo.")], lines=True)
    [('a.txt 1', 'One.'), ('a.txt 3', 'Two.')]
    >>> judged([("r.json", '{"completions": [{"text": "One."}]}')], lines=False)
    [('r.json 1', 'One.')]
    """
    found: list[tuple[str, str]] = []
    for source, content in texts:
        completions = _completions(content)
        if completions is not None:
            found += [(f"{source} {at}", each) for at, each in enumerate(completions, 1)]
        elif lines:
            parts = enumerate(content.split("\n"), 1)
            found += [(f"{source} {at}", each.rstrip("\r")) for at, each in parts if each.strip()]
        else:
            found.append((source, content))
    if not found:
        raise OptionError("there is no text: all lines are empty", name="text")
    return found


def _completions(content: str) -> list[str] | None:
    """The texts of what `generate --json` printed; `None` for anything else."""
    if not content.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(content)
        texts = [each["text"] for each in found["completions"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return texts if all(isinstance(each, str) for each in texts) else None


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
