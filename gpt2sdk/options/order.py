"""The processors and criteria of a call, and the order they run in."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from gpt2sdk.components.callables import as_criterion, as_processor, name_of
from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.options.given import Each, Given
from gpt2sdk.options.preset import check_rules
from gpt2sdk.plugins.contract import role_name, roles_of
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.session.request import Link

C_co = TypeVar("C_co", bound=Component, covariant=True)

LISTS: dict[str, tuple[tuple[type[Component], ...], Callable[[object, str], Component]]] = {
    "processors": ((LogitsProcessor,), as_processor),
    "stopping": ((StoppingCriterion, TextCriterion), as_criterion),
}
_SHAPE_A_DRAW = frozenset({Stage.TEMPERATURE, Stage.TRUNCATE, Stage.RANDOM})


@dataclass(frozen=True, slots=True)
class Entry(Generic[C_co]):
    """A processor or criterion of a call: the same for all its prompts, or one for each.

    Attributes:
        components: One component, or one of its class per prompt; `None` where a prompt does
            without. Not all of them are `None`.
        purpose: As in `Link`; known once the order is.
        why: The options that turned it on, or its place in a list.
        listed: Its number in the user's lists; `None` where options turned it on.
    """

    components: tuple[C_co | None, ...]
    purpose: str = ""
    why: str = field(default="", compare=False)
    listed: int | None = field(default=None, compare=False)

    @property
    def component(self) -> C_co:
        """One of the components; all have one class."""
        return next(component for component in self.components if component is not None)

    def link(self, prompt: int) -> Link[C_co] | None:
        """What acts on a prompt's rows."""
        component = self.components[prompt if len(self.components) > 1 else 0]
        return None if component is None else Link(self.purpose, component)


def listed(given: Given, option: str, registry: Registry) -> list[Entry[Component]]:
    """Return what `processors=[…]` or `stopping=[…]` holds, callables wrapped.

    Args:
        given: The list; lists in it are unfolded.
        option: The list's name.
        registry: Where components are looked up that are given as data: `{"name": "top_k", …}`.

    Raises:
        OptionError: Something in it is neither a component of a fitting role nor a callable.
    """
    value = given.value
    if isinstance(value, Each) or not isinstance(value, list | tuple):
        raise OptionError(
            f"{option} takes a list of components and callables, the same for all prompts, "
            f"got {value!r}",
            name=option,
            value=value,
        )
    return [
        Entry(
            (_component(option, number, given.of(item), registry),),
            why=f"{option}[{number}]",
            listed=number,
        )
        for number, item in enumerate(_unfolded(value))
    ]


def _unfolded(items: Iterable[object]) -> Iterable[object]:
    """Return a list's items; transformers' `LogitsProcessorList` is a list itself."""
    for item in items:
        if isinstance(item, list | tuple):
            yield from _unfolded(item)
        else:
            yield item


def _component(option: str, number: int, given: Given, registry: Registry) -> Component:
    """Return a listed item as a component of a role that fits the list."""
    item = given.value
    roles, wrap = LISTS[option]
    if isinstance(item, Mapping):
        return _built(f"{option}[{number}]", given, roles, registry)
    if isinstance(item, roles):
        return item
    if isinstance(item, str):
        expected = f'{{"name": {json.dumps(item)}}} with its options'
        message = f"{option}[{number}] is the text {item!r:.60}, expected a component, a callable"
        raise OptionError(f"{message} or {expected}", name=option, value=item, expected=expected)
    if not isinstance(item, Component):
        return wrap(item, option)
    kind = role_name(roles_of(type(item))[0])
    raise OptionError(
        f"{option} does not take {item.name}, which is a {kind}", name=option, value=item
    )


def _built(
    place: str, given: Given, roles: tuple[type[Component], ...], registry: Registry
) -> Component:
    """Build a component that is given as data.

    Raises:
        OptionError: There is none of this name in these roles, or an option of it is wrong.
    """
    fields = dict(given.value) if isinstance(given.value, Mapping) else {}
    name = fields.pop("name", None)
    if not isinstance(name, str):
        message = f'{place} is {given.value!r:.60}, expected {{"name": "…"}} with its options'
        raise OptionError(message, name=place, value=given.value)
    try:
        component = _found(name, roles, registry)
        for option, value in fields.items():
            if option in component.model_fields:
                check_rules(component, option, Given(option, value, given.preset))
        return component(**fields)
    except OptionError as error:
        raise OptionError(
            f"{place}: {error}", name=place, value=error.value, expected=error.expected
        ) from error


def _found(name: str, roles: tuple[type[Component], ...], registry: Registry) -> type[Component]:
    """Return the component of a name, in the first of these roles that has one."""
    role = next((role for role in roles if registry.named(name, role)), roles[0])
    return registry.find(role, name)


def ordered(entries: Sequence[Entry[Component]]) -> list[Entry[Component]]:
    """Bring entries into the order they run in, and name each.

    Processors come first, by stage, rank and name, with the listed ones as a block between
    CONSTRAIN and TEMPERATURE; then criteria, constraints first, by name, listed ones behind.
    """
    seen: dict[str, int] = {}
    named = []
    for entry in sorted(entries, key=_order):
        name = name_of(entry.component)
        count = seen.get(name, 0)
        seen[name] = count + 1
        named.append(replace(entry, purpose=f"{name}#{count}" if count else name))
    return named


def _order(entry: Entry[Component]) -> tuple[int, bool, int, str]:
    """Return what entries are sorted by; criteria stand behind all stages."""
    component, number = entry.component, entry.listed
    if isinstance(component, LogitsProcessor):
        if number is None:
            return component.stage, False, component.rank, component.name
        return Stage.CONSTRAIN, True, number, ""
    reason = component.reason if isinstance(component, StoppingCriterion) else ""
    behind = len(Stage) if reason.startswith("constraint") else len(Stage) + 1
    return behind, number is not None, number or 0, component.name


def check_no_twins(entries: Sequence[Entry[Component]]) -> None:
    """Refuse a component that both options and a list put into a call.

    Raises:
        OptionError: There is one.
    """
    by_option = {type(entry.component): entry for entry in entries if entry.listed is None}
    for entry in entries:
        twin = by_option.get(type(entry.component))
        if entry.listed is not None and twin is not None:
            name = entry.component.name
            raise OptionError(
                f"{name} stands in {entry.why} and is turned on by {twin.why}: give one",
                name=name,
                value=entry.component,
            )


def check_draws(strategy: Strategy, entries: Sequence[Entry[Component]]) -> None:
    """Refuse what only shapes a draw where the strategy does not draw.

    Raises:
        OptionError: There is such a processor.
    """
    if strategy.draws:
        return
    for entry in entries:
        component = entry.component
        if isinstance(component, LogitsProcessor) and component.stage in _SHAPE_A_DRAW:
            where = "" if entry.listed is None else f" in {entry.why}"
            raise OptionError(
                f"{component.name}{where} has no effect with the strategy {strategy.name}, which "
                "does not draw: leave it out",
                name=component.name,
                value=component,
            )
