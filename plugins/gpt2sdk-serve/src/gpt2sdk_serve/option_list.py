"""`/options`: every option of every installed component, as JSON."""

import inspect
from collections import defaultdict
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk import (
    Component,
    Drafter,
    Generator,
    LogitsProcessor,
    OptionRecord,
    Sampler,
    StoppingCriterion,
    Strategy,
    TextCriterion,
    option_records,
    schema_of,
)
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.state import ServerState

_ROLES = {
    Strategy: "strategy",
    Sampler: "sampler",
    Drafter: "drafter",
    LogitsProcessor: "logits processor",
    StoppingCriterion: "stopping criterion",
    TextCriterion: "text criterion",
}
"""What a request may name; the rest is for loading, and for detecting."""


async def options(request: Request) -> Response:
    """List all options."""
    state: ServerState = request.app.state.server
    return JSONAnswer(listed(state.model(request.query_params.get("model")).generator))


def listed(generator: Generator) -> dict[str, Any]:
    """Return the settings of every call, and every component of a call with its options.

    Args:
        generator: Whose they are.
    """
    registry = generator.registry
    found: dict[tuple[str, str], list[OptionRecord]] = defaultdict(list)
    for record in option_records(registry):
        found[record.component, record.distribution if record.component else ""].append(record)
    return {
        "call": [_option(record, None) for record in found["", ""]],
        "components": [
            {
                "name": offer.name,
                "roles": [_ROLES[role] for role in offer.roles if role in _ROLES],
                "description": inspect.cleandoc(offer.component.__doc__ or ""),
                "distribution": offer.origin.distribution,
                "version": offer.origin.version,
                "options": [
                    _option(record, offer.component)
                    for record in found[offer.name, offer.origin.distribution]
                    if record.name in offer.component.option_names()
                ],
            }
            for offer in registry.offers(*_ROLES)
        ],
    }


def _option(record: OptionRecord, component: type[Component] | None) -> dict[str, Any]:
    known = asdict(record)
    kept = ("name", "description", "type", "range", "default", "required", "switch", "per_prompt")
    return {**{name: known[name] for name in kept}, "schema": schema_of(component, record.name)}
