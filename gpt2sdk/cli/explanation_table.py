"""An explanation as people read it, and as JSON."""

import json
from dataclasses import asdict

from rich.text import Text

from gpt2sdk.cli.tables import indented, show, table
from gpt2sdk.options import Composition, ExplainedComponent, Explanation

_TITLES = ("", "component", "options", "why", "from")


def show_explanation(explanation: Explanation) -> None:
    """Print the parts of a call in the order in which they act, then what ends it."""
    parts = table([_row(part) for part in explanation.parts], _TITLES, names=2)
    show(parts, "", indented(_ends(explanation.composition), 2))


def as_record(explanation: Explanation) -> dict[str, object]:
    """Return an explanation, JSON-ready; what only a call decides stands as it would be given."""
    composition = explanation.composition
    drawn = {} if "seed" in composition.given else {"seed": None}
    return {
        "parts": [asdict(part) for part in explanation.parts],
        "options": {**composition.in_force, **drawn},
    }


def _row(part: ExplainedComponent) -> list[str | Text]:
    return [
        Text(part.stage or part.role, style="dim"),
        part.name,
        _options(part),
        _why(part),
        Text(f"{part.distribution} {part.version}".strip(), style="dim"),
    ]


def _options(part: ExplainedComponent) -> str:
    """The option that leads, and those that are not at their default."""
    lead = next(iter(part.options), None)
    return ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in part.options.items()
        if name == lead or name not in part.defaults
    )


def _why(part: ExplainedComponent) -> str:
    """Say what put a component there: an option, a list or nothing."""
    return part.why if part.why == "default" or "[" in part.why else "option"


def _ends(composition: Composition) -> str:
    """Say what ends a row besides stopping criteria."""
    if composition.eos_token_ids is None:
        first = "at an end token of the model"
    elif composition.eos_token_ids:
        first = f"at end token {', '.join(map(str, sorted(composition.eos_token_ids)))}"
    else:
        first = "at no end token"
    limits = {f"{limit}" for limit in composition.max_new_tokens if limit is not None}
    last = f"after {' or '.join(sorted(limits))} tokens" if limits else "after 128 tokens"
    if None in composition.max_new_tokens:
        last += ", or where the context window is full"
    return f"A row ends {first}, or {last}."
