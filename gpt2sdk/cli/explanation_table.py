"""An explanation as people read it, and as JSON."""

import json
from dataclasses import asdict

from rich.text import Text

from gpt2sdk.cli.tables import indented, show, table
from gpt2sdk.generator.explanation import Explanation, Part
from gpt2sdk.generator.plan import Plan

_TITLES = ("", "component", "options", "why", "from")


def show_explanation(explanation: Explanation, *, end_tokens_known: bool) -> None:
    """Print the parts of a call in the order in which they act, then what ends it.

    Args:
        explanation: What a call would run.
        end_tokens_known: Whether the plan has them, rather than the model that is still to come.
    """
    parts = table([_row(part) for part in explanation.parts], _TITLES, names=2)
    ends = _ends(explanation.plan, end_tokens_known=end_tokens_known)
    show(parts, "", indented(ends, 2))


def as_record(
    explanation: Explanation, *, end_tokens_known: bool, seed_given: bool
) -> dict[str, object]:
    """Return an explanation, JSON-ready; what only a call decides stands as it would be given."""
    options = dict(explanation.plan.effective)
    if not end_tokens_known:
        options |= {"eos_token_id": "model"}
    if not seed_given:
        options |= {"seed": None}
    return {"parts": [asdict(part) for part in explanation.parts], "options": options}


def _row(part: Part) -> list[str | Text]:
    return [
        Text(part.stage or part.role, style="dim"),
        part.name,
        _options(part),
        _why(part),
        Text(f"{part.distribution} {part.version}".strip(), style="dim"),
    ]


def _options(part: Part) -> str:
    return ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in part.options.items()
    )


def _why(part: Part) -> str:
    """Say what put a component there: an option, a list or nothing."""
    return part.why if part.why == "default" or "[" in part.why else "option"


def _ends(plan: Plan, *, end_tokens_known: bool) -> str:
    """Say what ends a row besides stopping criteria."""
    tokens = ", ".join(map(str, sorted(plan.eos_token_ids)))
    if not end_tokens_known:
        first = "at an end token of the model"
    elif tokens:
        first = f"at end token {tokens}"
    else:
        first = "at no end token"
    limits = {f"{limit}" for limit in plan.max_new_tokens if limit is not None}
    last = f"after {' or '.join(sorted(limits))} tokens" if limits else "after 128 tokens"
    if None in plan.max_new_tokens:
        last += ", or where the context window is full"
    return f"A row ends {first}, or {last}."
