"""Choices among options, as JSON and as people read them."""

import math
from collections.abc import Sequence

from rich.console import RenderableType

from gpt2sdk.cli.tables import heading, show, table
from gpt2sdk.components.answers import Choice

_TITLES = ("option", "probability", "log-probability", "tokens")
_HEADING = 60


def report(prompts: Sequence[str], choices: Sequence[Choice]) -> list[dict[str, object]]:
    """Return choices as JSON-ready values; what is infinite is null there."""
    return [
        {
            "prompt": prompt,
            "best": choice.best,
            "normalization": choice.normalization,
            "options": [
                {"option": option, "probability": probability, "logprob": logprob, "tokens": count}
                for option, probability, logprob, count in _columns(choice)
            ],
        }
        for prompt, choice in zip(prompts, choices, strict=True)
    ]


def show_choices(prompts: Sequence[str], choices: Sequence[Choice]) -> None:
    """Print each prompt's options, the likeliest first."""
    parts: list[RenderableType] = []
    for number, (prompt, choice) in enumerate(zip(prompts, choices, strict=True)):
        ranked = sorted(_columns(choice), key=lambda row: -row[1])
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
            begins = " ".join(prompt.split())
            parts.append(heading(f"{chr(10) * (number > 0)}{begins:.{_HEADING}}"))
        parts.append(table(rows, _TITLES))
    show(*parts)


def _columns(choice: Choice) -> list[tuple[str, float, float | None, int]]:
    finite = [each if math.isfinite(each) else None for each in choice.logprobs]
    columns = (choice.options, choice.probabilities, finite, choice.token_counts)
    return list(zip(*columns, strict=True))
