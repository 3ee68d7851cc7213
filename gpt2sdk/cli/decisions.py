"""Decisions among options, as JSON and as people read them."""

import math
from collections.abc import Sequence

from rich.console import RenderableType

from gpt2sdk.cli.tables import heading, show, table
from gpt2sdk.components.answers import Decision

_TITLES = ("option", "probability", "log-probability", "tokens")
_HEADING = 60


def report(prompts: Sequence[str], decisions: Sequence[Decision]) -> list[dict[str, object]]:
    """Return decisions as JSON-ready values; what is infinite is null there."""
    return [
        {
            "prompt": prompt,
            "best": decision.best,
            "normalization": decision.normalization,
            "options": [
                {"option": option, "probability": probability, "logprob": logprob, "tokens": count}
                for option, probability, logprob, count in _columns(decision)
            ],
        }
        for prompt, decision in zip(prompts, decisions, strict=True)
    ]


def show_decisions(prompts: Sequence[str], decisions: Sequence[Decision]) -> None:
    """Print each prompt's options, the likeliest first."""
    parts: list[RenderableType] = []
    for number, (prompt, decision) in enumerate(zip(prompts, decisions, strict=True)):
        ranked = sorted(_columns(decision), key=lambda row: -row[1])
        rows = [
            (
                repr(option),
                f"{probability:.4f}",
                "-inf" if logprob is None else f"{logprob:.4f}",
                str(count),
            )
            for option, probability, logprob, count in ranked
        ]
        if len(prompts) > 1:
            parts.append(above(prompt, number))
        parts.append(table(rows, _TITLES))
    show(*parts)


def above(prompt: str, number: int) -> RenderableType:
    """Return the line above what is said of one prompt of several."""
    begins = " ".join(prompt.split())
    return heading(f"{chr(10) * (number > 0)}{begins:.{_HEADING}}")


def _columns(decision: Decision) -> list[tuple[str, float, float | None, int]]:
    finite = [each if math.isfinite(each) else None for each in decision.logprobs]
    columns = (decision.options, decision.probabilities, finite, decision.token_counts)
    return list(zip(*columns, strict=True))
