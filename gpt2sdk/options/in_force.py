"""What was in force in a call, as JSON-ready values that can be given as options again."""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    >>> json_ready(str.strip)
    'builtins.str.strip'
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
            # A method of a built-in class, as `str.strip`, has a class and no module.
            kind = getattr(named, "__objclass__", type(named))
            home = getattr(named, "__module__", None) or kind.__module__
            return f"{home}.{named.__qualname__}"


def options_of(component: Component) -> dict[str, object]:
    """Return a component's options, JSON-ready."""
    return {name: json_ready(component.recorded(name)) for name in type(component).model_fields}


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


@dataclass(frozen=True, slots=True)
class Acting:
    """A component of a call, and where its options stand in what is in force.

    Attributes:
        components: It, for all prompts or for each; `None` where a prompt does without.
        setting: The setting that names it or holds it; empty where options turned it on.
        place: The same, with its number where it stands in a list; for messages.
        name: What a call names it.
        keys: The shortest name that means each of its options; none in a list.
    """

    components: tuple[Component | None, ...]
    setting: str
    place: str
    name: str
    keys: Mapping[str, str]

    @property
    def component(self) -> Component:
        """One of the components; all have one class."""
        return next(component for component in self.components if component is not None)


def acting(
    leads: Sequence[Lead], entries: Sequence[Entry[Component]], registry: Registry
) -> Iterator[Acting]:
    """Yield what acts in a call, first what it names, then processors and criteria in order."""
    columns = leading(leads)
    taken: set[str] = set()
    for setting, column in columns.items():
        others = [each[0] for name, each in columns.items() if name != setting]
        name = _called(column[0], registry)
        fields = list(type(column[0]).model_fields)
        taken.update(fields)
        keys = {
            option: _key(
                name, option, clear=not any(option in type(one).model_fields for one in others)
            )
            for option in fields
        }
        yield Acting(column, setting, setting, name, keys)
    led = {component for column in columns.values() for component in map(id, column)}
    for entry in entries:
        name = _called(entry.component, registry)
        if entry.listed is not None:
            yield Acting(entry.components, entry.why.partition("[")[0], entry.why, name, {})
        elif id(entry.component) not in led:
            keys = {
                option: _key(
                    name,
                    option,
                    clear=len(registry.having(option, *CHAIN_ROLES)) < 2 and option not in taken,
                )
                for option in type(entry.component).model_fields
            }
            yield Acting(entry.components, "", "", name, keys)


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
    actors = list(acting(leads, entries, registry))
    record: dict[str, object] = {
        each.setting: each.name for each in actors if each.setting and each.setting == each.place
    }
    record |= {name: json_ready(value) for name, value in settings.items()}
    for each in actors:
        if each.setting != each.place:
            lists = record.setdefault(each.setting, [])
            item = {"name": each.name, **options_of(each.component)}
            cast("list[object]", lists).append(item)
        for option, key in each.keys.items():
            record[key] = column_of(each.components, option)
    components = (each.component for each in actors)
    return record | {"versions": _versions(components, registry)}


def _called(component: Component, registry: Registry) -> str:
    """Return what a call names a component: with its distribution where several have the name."""
    name = name_of(component)
    offers = registry.named(name)
    mine = next((offer for offer in offers if offer.component is type(component)), None)
    rivals = [offer for offer in offers if mine and set(offer.roles) & set(mine.roles)]
    return f"{mine.origin.qualifier}:{name}" if mine and len(rivals) > 1 else name


def _key(name: str, option: str, *, clear: bool) -> str:
    """Return the shortest name that means this option."""
    return option if clear and option not in Settings.model_fields else f"{name}.{option}"


def column_of(components: Sequence[Component | None], option: str) -> object:
    """Return a component's option, JSON-ready, or its values where prompts differ."""
    values = [
        None if component is None else json_ready(component.recorded(option))
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
