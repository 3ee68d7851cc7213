"""`/options`: every option of every installed component, as JSON."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpt2sdk import Component, Generator, OptionRecord, option_records, schema_of
from gpt2sdk_serve.json_answer import JSONAnswer
from gpt2sdk_serve.state import ServerState

_NOT_ASKED = frozenset({"batch_size", "max_new_tokens", "num_return_sequences", "logprobs"})
"""Options of every call that a request has fields for, or that are the server's."""


async def options(request: Request) -> Response:
    """List all options."""
    state: ServerState = request.app.state.server
    return JSONAnswer(listed(state.model(request.query_params.get("model")).generator))


def listed(generator: Generator) -> dict[str, Any]:
    """Return what every call has, and every component with its options.

    Args:
        generator: Whose components they are.
    """
    registry = generator.registry
    records = list(option_records(registry))
    roles = {each.component: each.role for each in records}
    known = {each.roles: roles[each.name] for each in registry.offers() if each.name in roles}
    components: list[dict[str, Any]] = [
        {
            "role": "call",
            "name": "",
            "description": "Options of every call.",
            "options": [
                _option(each, {})
                for each in records
                if each.role == "call" and each.name not in _NOT_ASKED
            ],
        }
    ]
    for offer in registry.offers():
        role = known.get(offer.roles) or ", ".join(each.__name__.lower() for each in offer.roles)
        mine = [
            each
            for each in records
            if (each.component, each.role, each.distribution)
            == (offer.name, role, offer.origin.distribution)
        ]
        components.append(
            {
                "role": role,
                "name": offer.name,
                "description": summary(offer.component),
                "distribution": offer.origin.distribution,
                "version": offer.origin.version,
                "options": [_option(each, schema_of(offer.component, each.name)) for each in mine],
            }
        )
    return {"components": components}


def _option(record: OptionRecord, schema: Mapping[str, Any]) -> dict[str, Any]:
    known = asdict(record)
    kept = ("name", "description", "type", "range", "default", "required", "switch", "per_prompt")
    return {**{name: known[name] for name in kept}, "schema": dict(schema)}


def summary(component: type[Component]) -> str:
    """Return the first paragraph of a component's description, in one line."""
    return " ".join(inspect.cleandoc(component.__doc__ or "").partition("\n\n")[0].split())
