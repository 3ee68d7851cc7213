"""Examples of components: values of their options with which they do something."""

from collections.abc import Iterator, Mapping
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from gpt2sdk.components.component import Component, neutral
from gpt2sdk.components.preset_rules import is_caller_only
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.errors import OptionError

_CHAIN = (LogitsProcessor, StoppingCriterion, TextCriterion)
# Numbers in the usual ranges, bools, texts of letters and few token ids: what a field takes counts.
_GUESSES: tuple[object, ...] = (
    *(0.5, 2.0, 0.9, 1.5, -0.5),
    *(2, 3, 1, 5),
    True,
    *("ab", ("ab",), (3,), ((3, 4),)),
    *(((3, 1.5),), (((3, 4), 1.5),), (("ab", 1.5),)),
)


def example_of(component: type[Component], values: Mapping[str, object]) -> Component:
    """Return a component that does something.

    Its options are the values given; else its own `example_options`; else their defaults. Where a
    processor or criterion is off with that, its switch is set to a value that its type takes. No
    file, model or code is guessed.

    Args:
        component: The class.
        values: Options to set.

    Raises:
        OptionError: A value is wrong, or none was found for an option that needs one.

    >>> from gpt2sdk.components import TopK
    >>> example_of(TopK, {}), example_of(TopK, {"top_k": 7})
    (TopK(top_k=2, min_tokens_to_keep=1), TopK(top_k=7, min_tokens_to_keep=1))
    """
    options = {**component.example_options(), **values}
    wanting = [
        name
        for name, field in component.model_fields.items()
        if name not in options and field.is_required()
    ]
    for name in wanting:
        options[name] = _guess(component, name, options)
    found = component(**options)
    switch = component.switch()
    if found.is_on() or switch is None or switch in values or not issubclass(component, _CHAIN):
        return found
    return component(**{**options, switch: _guess(component, switch, options)})


def _guess(component: type[Component], name: str, options: Mapping[str, object]) -> object:
    """Return a value of an option, not its default, that a component can be made with.

    Raises:
        OptionError: No guess fits.
    """
    field = component.model_fields[name]
    guesses = () if is_caller_only(field) else _guesses(field)
    for guess in guesses:
        try:
            made = component(**{**options, name: guess})
        except OptionError:
            continue
        if made.is_on() or not issubclass(component, _CHAIN):
            return guess
    raise OptionError(
        f"{component.name}.{name}: no value is known to try it with; state one in the field, as in "
        f"Field(examples=[…]), make one in example_options, or give one: "
        f"-o {component.name}.{name}=…",
        name=name,
    )


def _guesses(field: FieldInfo) -> Iterator[object]:
    """Yield what may be a value: what lies between the bounds of the field first."""
    low, high = (_bound(field, names) for names in (("ge", "gt"), ("le", "lt")))
    if low is not None and high is not None:
        yield (low + high) / 2
    yield from get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    off = None if field.is_required() else neutral(field)
    yield from (guess for guess in _GUESSES if guess != off)


def _bound(field: FieldInfo, names: tuple[str, str]) -> float | None:
    """Return a bound of a field; `None` where it has none."""
    found = [getattr(each, name, None) for each in field.metadata for name in names]
    return next((float(each) for each in found if isinstance(each, int | float)), None)
