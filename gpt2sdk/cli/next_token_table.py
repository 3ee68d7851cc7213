"""Distributions of next tokens, as JSON and as people read them."""

from collections.abc import Sequence

from rich.console import RenderableType

from gpt2sdk.cli.decisions import above
from gpt2sdk.cli.tables import heading, show, table
from gpt2sdk.components.answers import NextToken

_TITLES = ("token", "probability", "log-probability", "id")


def report(prompts: Sequence[str], found: Sequence[NextToken]) -> list[dict[str, object]]:
    """Return distributions as JSON-ready values."""
    return [
        {
            "prompt": prompt,
            "support": each.support,
            "entropy": each.entropy,
            "tokens": [
                {"token": token, "text": text, "probability": probability, "logprob": logprob}
                for token, text, probability, logprob in _columns(each)
            ],
        }
        for prompt, each in zip(prompts, found, strict=True)
    ]


def show_next_tokens(prompts: Sequence[str], found: Sequence[NextToken]) -> None:
    """Print each prompt's likeliest tokens, the likeliest first, and how wide the rest is."""
    parts: list[RenderableType] = []
    for number, (prompt, each) in enumerate(zip(prompts, found, strict=True)):
        rows = [
            (repr(text), f"{probability:.4f}", f"{logprob:.4f}", str(token))
            for token, text, probability, logprob in _columns(each)
        ]
        if len(prompts) > 1:
            parts.append(above(prompt, number))
        parts.append(table(rows, _TITLES))
        wide = f"of {each.support} that can come; entropy {each.entropy:.2f} nats"
        parts.append(heading("", wide))
    show(*parts)


def _columns(found: NextToken) -> list[tuple[int, str, float, float]]:
    columns = (found.tokens, found.texts, found.probabilities, found.logprobs)
    return list(zip(*columns, strict=True))
