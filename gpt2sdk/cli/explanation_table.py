"""An explanation as people read it, and as JSON."""

import json
from dataclasses import asdict

from rich.text import Text

from gpt2sdk.cli.tables import indented, show, table
from gpt2sdk.options import Composition, ExplainedComponent, Explanation

_TITLES = ("", "component", "options", "why", "from")


def show_explanation(explanation: Explanation) -> None:
    """Print the components of a call in the order in which they act, then what ends it."""
    rows = table([_row(component) for component in explanation.components], _TITLES, names=2)
    show(rows, "", indented(_ends(explanation.composition), 2))


def as_record(explanation: Explanation) -> dict[str, object]:
    """Return an explanation, JSON-ready; what only a call decides stands as it would be given."""
    composition = explanation.composition
    drawn = {} if "seed" in composition.given else {"seed": None}
    return {
        "components": [asdict(component) for component in explanation.components],
        "options": {**composition.in_force, **drawn},
    }


def _row(component: ExplainedComponent) -> list[str | Text]:
    return [
        Text(component.stage or component.role, style="dim"),
        component.name,
        _options(component),
        _why(component),
        Text(f"{component.distribution} {component.version}".strip(), style="dim"),
    ]


def _options(component: ExplainedComponent) -> str:
    """The option that leads, and those that are not at their default."""
    lead = next(iter(component.options), None)
    return ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in component.options.items()
        if name == lead or name not in component.defaults
    )


def _why(component: ExplainedComponent) -> str:
    """Say what put a component there: an option, a list or nothing."""
    return component.why if component.why == "default" or "[" in component.why else "option"


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
