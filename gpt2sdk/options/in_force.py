"""What was in force in a call, as JSON-ready values that can be given as options again."""

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from gpt2sdk.components.callables import name_of
from gpt2sdk.components.component import Component, identity
from gpt2sdk.options.field import is_plain_number
from gpt2sdk.options.order import Entry
from gpt2sdk.options.owners import CHAIN_ROLES
from gpt2sdk.options.settings import Settings
from gpt2sdk.plugins.host import CORE
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.session.request import Lead


def json_ready(value: object) -> object:
    """Turn a value into what JSON has; functions and models become their names.

    >>> json_ready((1, 0.5, {"a": (2,)}))
    [1, 0.5, {'a': [2]}]
    """
    match value:
        case None | bool() | int() | float() | str():
            finite = not isinstance(value, float) or math.isfinite(value)
            return value if finite else str(value)
        case Component():
            return {"name": name_of(value), **options_of(value)}
        case Mapping():
            return {str(key): json_ready(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [json_ready(item) for item in value]
        case _:
            named = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
            return f"{named.__module__}.{named.__qualname__}"


def options_of(component: Component) -> dict[str, object]:
    """Return a component's options, JSON-ready."""
    return {name: json_ready(getattr(component, name)) for name in type(component).model_fields}


def leading(leads: Sequence[Lead]) -> dict[str, tuple[Component, ...]]:
    """Return the components of leads that act, one for each lead, by the setting that names them.

    What is the same for all of them stands there once.
    """
    first = leads[0]
    acting = {
        "strategy": True,
        "sampler": first.strategy.draws and first.strategy.chooses,
        "drafter": first.drafter is not None,
    }
    named: dict[str, tuple[Component, ...]] = {}
    for setting in (setting for setting, acts in acting.items() if acts):
        column = [getattr(lead, setting) for lead in leads]
        same = len({identity(each) for each in column}) == 1
        named[setting] = tuple(column[:1] if same else column)
    return named


def in_force(
    settings: Mapping[str, object],
    leads: Sequence[Lead],
    entries: Sequence[Entry[Component]],
    registry: Registry,
) -> dict[str, object]:
    """Return every option in force, defaults included, and the versions of what is in force.

    A component's option stands under its short name where that is clear, else as
    `component.option`. Components of a list stand in that list, with their options. What differs
    from prompt to prompt is a list of numbers, or `{"each": […]}`.

    Args:
        settings: What is in force of the settings that name no component.
        leads: Strategy, sampler and drafter, for all prompts or for each.
        entries: Processors and criteria in their order.
        registry: What says which names are clear, and where components come from.
    """
    columns = leading(leads)
    named = {setting: column[0] for setting, column in columns.items()}
    record: dict[str, object] = {}
    for setting, component in named.items():
        record[setting] = name_of(component)
    record |= {name: json_ready(value) for name, value in settings.items()}
    for setting, component in named.items():
        rivals = [other for other in named.values() if other is not component]
        for option in type(component).model_fields:
            clear = not any(option in type(rival).model_fields for rival in rivals)
            record[_key(component, option, clear=clear)] = column_of(columns[setting], option)
    taken = {option for component in named.values() for option in type(component).model_fields}
    for entry in entries:
        if entry.listed is not None:
            lists = record.setdefault(entry.why.partition("[")[0], [])
            cast("list[object]", lists).append(json_ready(entry.component))
            continue
        for option in type(entry.component).model_fields:
            owners = registry.having(option, *CHAIN_ROLES)
            clear = len(owners) < 2 and option not in taken
            record[_key(entry.component, option, clear=clear)] = column_of(entry.components, option)
    components = [*named.values(), *(entry.component for entry in entries)]
    return record | {"versions": _versions(components, registry)}


def _key(component: Component, option: str, *, clear: bool) -> str:
    """Return the shortest name that means this option."""
    return option if clear and option not in Settings.model_fields else f"{component.name}.{option}"


def column_of(components: Sequence[Component | None], option: str) -> object:
    """Return a component's option, JSON-ready, or its values where prompts differ."""
    values = [
        None if component is None else json_ready(getattr(component, option))
        for component in components
    ]
    if len(values) == 1:
        return values[0]
    kind = type(next(component for component in components if component is not None))
    number = is_plain_number(kind.model_fields[option].annotation)
    return values if number else {"each": values}


def _versions(components: Iterable[Component], registry: Registry) -> dict[str, str]:
    """Return the versions of the distributions that the components come from."""
    origins = {registry.origin(type(component)) for component in components}
    found = {
        origin.distribution: origin.version
        for origin in origins
        if origin is not None and origin.distribution
    }
    return {CORE.distribution: CORE.version} | dict(sorted(found.items()))
