"""What an option's field takes, and what it makes of a text."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import ValidationError, create_model
from pydantic.fields import FieldInfo

from gpt2sdk.components.component import Component, freeze
from gpt2sdk.options.given import Each, Given, Unread, read_each

_PYTHON: Final[Mapping[str, object]] = {"True": True, "False": False, "None": None}


def is_plain_number(annotation: object) -> bool:
    """Whether a type has numbers only, so that a list of them means one for each prompt.

    >>> is_plain_number(float | None), is_plain_number(tuple[int, ...]), is_plain_number(bool)
    (True, False, False)
    """
    members = set(alternatives(annotation)) - {NoneType}
    return bool(members) and members <= {int, float}


def allows_none(annotation: object) -> bool:
    """Whether `None` is a value of a type.

    >>> allows_none(int | None), allows_none(int)
    (True, False)
    """
    return bool({NoneType, object} & set(alternatives(annotation)))


def alternatives(annotation: object) -> tuple[object, ...]:
    """Return the members of a union, or the type itself; what is annotated counts as its type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(m for member in get_args(annotation) for m in alternatives(member))
    return (annotation,)


def understood(given: Given, field: FieldInfo) -> Given:
    """Return what was given for a field; a text that was not read yet is read now."""
    if not isinstance(given.value, Unread):
        return given
    return given.of(read_each(parse(given.value, field)))


def parse(text: str, field: FieldInfo) -> object:
    """Read a value as JSON where that fits the option's type, else as text.

    A list of one may be written without its brackets. What is a list or an object in JSON is never
    a text: where it does not fit, the option refuses it.

    >>> strings = FieldInfo(annotation=tuple[str, ...])
    >>> parse('["a", "b"]', strings), parse("5", strings)
    (['a', 'b'], ['5'])
    >>> parse("0.5", FieldInfo(annotation=float)), parse("null", FieldInfo(annotation=str | None))
    (0.5, None)
    """
    readings = list(_readings(text))
    fitting = (value for value in readings if _fits(value, field))
    return next(fitting, readings[0])


def _readings(text: str) -> Iterator[object]:
    """Yield what a text may mean, the likeliest first."""
    value = _PYTHON.get(text, text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # JSON knows `0.5` only; people also write `.5`.
        with suppress(ValueError):
            value = float(text)
    yield value
    if isinstance(value, list | dict):
        return  # what does not fit is a mistake, not a text that looks like it
    yield text
    yield [value]
    yield [text]


def _fits(value: object, field: FieldInfo) -> bool:
    """Whether an option may have this value, in this type."""
    if isinstance(read_each(value), Each):
        return True
    annotation: Any = field.annotation
    model = create_model("Option", __config__=Component.model_config, value=(annotation, field))
    try:
        model(value=freeze(value))
    except ValidationError:
        return False
    return True
