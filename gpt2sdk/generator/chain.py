"""The processors and criteria of a call, and the order they run in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gpt2sdk.components.callables import as_criterion, as_processor, name_of
from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.each import Each
from gpt2sdk.generator.plan import Variants
from gpt2sdk.plugins.contract import role_name, roles_of

C = TypeVar("C", bound=Component)

LISTS: dict[str, tuple[tuple[type[Component], ...], Callable[[object, str], Component]]] = {
    "processors": ((LogitsProcessor,), as_processor),
    "stopping": ((StoppingCriterion, TextCriterion), as_criterion),
}
_SHAPE_A_DRAW = frozenset({Stage.TEMPERATURE, Stage.TRUNCATE, Stage.RANDOM})


@dataclass(frozen=True, slots=True)
class Place:
    """One component's place among those of a call.

    Attributes:
        variants: As in `Variants`; not all of them are `None`.
        why: The options that turned it on, or its place in a list.
        listed: Its number in the user's lists; `None` where options turned it on.
        purpose: As in `Variants`; known once the order is.
    """

    variants: tuple[Component | None, ...]
    why: str
    listed: int | None = None
    purpose: str = ""

    @property
    def component(self) -> Component:
        """One of the variants; all have one class."""
        return next(variant for variant in self.variants if variant is not None)

    def of_role(self, role: type[C]) -> Variants[C]:
        """Return what has a role in this place."""
        return Variants(
            self.purpose,
            tuple(variant if isinstance(variant, role) else None for variant in self.variants),
        )


def listed(option: str, value: object) -> list[Place]:
    """Return what `processors=[…]` or `stopping=[…]` holds, callables wrapped.

    Args:
        option: The list's name.
        value: The list; lists in it are unfolded.

    Raises:
        OptionError: Something in it is neither a component of a fitting role nor a callable.
    """
    if isinstance(value, Each) or not isinstance(value, list | tuple):
        raise OptionError(
            f"{option} takes a list of components and callables, the same for all prompts, "
            f"got {value!r}",
            name=option,
            value=value,
        )
    return [
        Place((_component(option, item),), f"{option}[{number}]", number)
        for number, item in enumerate(_unfolded(value))
    ]


def _unfolded(items: Iterable[object]) -> Iterable[object]:
    """Return a list's items; transformers' `LogitsProcessorList` is a list itself."""
    for item in items:
        if isinstance(item, list | tuple):
            yield from _unfolded(item)
        else:
            yield item


def _component(option: str, item: object) -> Component:
    """Return a listed item as a component of a role that fits the list."""
    roles, wrap = LISTS[option]
    if isinstance(item, roles):
        return item
    if not isinstance(item, Component):
        return wrap(item, option)
    kind = role_name(roles_of(type(item))[0])
    raise OptionError(
        f"{option} does not take {item.name}, which is a {kind}", name=option, value=item
    )


def ordered(places: Sequence[Place]) -> list[Place]:
    """Bring places into the order they run in, and name each.

    Processors come first, by stage, rank and name, with the listed ones as a block between
    CONSTRAIN and TEMPERATURE; then criteria, constraints first, by name, listed ones behind.
    """
    seen: dict[str, int] = {}
    named = []
    for place in sorted(places, key=_order):
        name = name_of(place.component)
        count = seen.get(name, 0)
        seen[name] = count + 1
        named.append(replace(place, purpose=f"{name}#{count}" if count else name))
    return named


def _order(place: Place) -> tuple[int, bool, int, str]:
    """Return what places are sorted by; criteria stand behind all stages."""
    component, number = place.component, place.listed
    if isinstance(component, LogitsProcessor):
        if number is None:
            return component.stage, False, component.rank, component.name
        return Stage.CONSTRAIN, True, number, ""
    reason = component.reason if isinstance(component, StoppingCriterion) else ""
    behind = len(Stage) if reason.startswith("constraint") else len(Stage) + 1
    return behind, number is not None, number or 0, component.name


def check_no_twins(places: Sequence[Place]) -> None:
    """Refuse a component that both options and a list put into a call.

    Raises:
        OptionError: There is one.
    """
    by_option = {type(place.component): place for place in places if place.listed is None}
    for place in places:
        twin = by_option.get(type(place.component))
        if place.listed is not None and twin is not None:
            name = place.component.name
            raise OptionError(
                f"{name} stands in {place.why} and is turned on by {twin.why}: give one",
                name=name,
                value=place.component,
            )


def check_draws(strategy: Strategy, places: Sequence[Place]) -> None:
    """Refuse what only shapes a draw where the strategy does not draw.

    Raises:
        OptionError: There is such a processor.
    """
    if strategy.draws:
        return
    for place in places:
        component = place.component
        if isinstance(component, LogitsProcessor) and component.stage in _SHAPE_A_DRAW:
            where = "" if place.listed is None else f" in {place.why}"
            raise OptionError(
                f"{component.name}{where} has no effect with the strategy {strategy.name}, which "
                "does not draw: leave it out",
                name=component.name,
                value=component,
            )
