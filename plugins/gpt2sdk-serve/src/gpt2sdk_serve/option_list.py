"""`/options`: every option of every installed component, as JSON."""

import inspect
from collections import defaultdict
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk import Component, OptionRecord, option_records, schema_of
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.state import ServerState

_NOT_ASKED = frozenset({"batch_size", "max_new_tokens", "num_return_sequences", "logprobs"})
"""Options of every call that a request has fields for, or that are the server's."""


async def options(request: Request) -> Response:
    """List all options."""
    state: ServerState = request.app.state.server
    return JSONAnswer(listed(state.model(request.query_params.get("model")).generator.registry))


def listed(registry: Any) -> dict[str, Any]:
    """Return every component with its options, by role and name.

    Args:
        registry: A generator's.
    """
    found: dict[str, list[OptionRecord]] = defaultdict(list)
    for record in option_records(registry):
        found[record.component].append(record)
    components = []
    for offer in registry.offers():
        mine = [
            each for each in found[offer.name] if each.distribution == offer.origin.distribution
        ]
        role = mine[0].role if mine else ""
        if not role:
            continue
        components.append(
            {
                "role": role,
                "name": offer.name,
                "description": summary(offer.component),
                "distribution": offer.origin.distribution,
                "version": offer.origin.version,
                "options": [_option(record, offer.component) for record in mine],
            }
        )
    return {"components": components}


def _option(record: OptionRecord, component: type[Component]) -> dict[str, Any]:
    known = asdict(record)
    kept = ("name", "description", "type", "range", "default", "required", "switch", "per_prompt")
    return {**{name: known[name] for name in kept}, "schema": schema_of(component, record.name)}


def summary(component: type[Component]) -> str:
    """Return the first paragraph of a component's description, in one line."""
    return " ".join(inspect.cleandoc(component.__doc__ or "").partition("\n\n")[0].split())
