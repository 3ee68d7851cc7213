"""Checks of a component as a value: its fields, their ranges, hashing and JSON."""

import json
import math
from collections.abc import Iterator

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError

from gpt2sdk.components.component import Component, snake_case
from gpt2sdk.errors import OptionError
from gpt2sdk.testing.promise import promise


def check_name_and_documentation(component: Component) -> None:
    """The name is in snake_case; the class and every field say what they are."""
    kind = type(component)
    promise(
        component.name == snake_case(component.name), f"name {component.name!r}: use snake_case"
    )
    promise((kind.__doc__ or "").strip(), f"{kind.__name__} has no docstring")
    silent = [name for name, field in kind.model_fields.items() if not field.description]
    promise(not silent, f"{kind.__name__}: no description of {', '.join(silent)}")


def check_value(component: Component) -> None:
    """It is frozen, hashable, and equal to another one with the same fields."""
    twin = _again(component)
    promise(twin == component, f"{component!r} differs from another one with the same fields")
    promise(hash(twin) == hash(component), f"{component!r} and its twin hash differently")
    for name in type(component).model_fields:
        try:
            setattr(component, name, getattr(component, name))
        except ValidationError:
            continue
        raise AssertionError(f"{component.name}.{name} can be set: components are frozen")


def check_json(component: Component) -> None:
    """What it writes as JSON makes it again; what cannot be written, as functions, is left out."""
    held = {
        name: getattr(component, name)
        for name in type(component).model_fields
        if not _is_written(component, name)
    }
    written = component.model_dump_json(exclude=set(held)) if held else component.model_dump_json()
    promise(
        type(component)(**{**json.loads(written), **held}) == component,
        f"{written} makes another component",
    )


def _is_written(component: Component, name: str) -> bool:
    """Whether pydantic writes a field's value as JSON: it does not if a caller made an object."""
    try:
        component.model_dump_json(include={name})
    except PydanticSerializationError:
        return False
    return True


def check_wrong_values_are_refused(component: Component) -> None:
    """An unknown field, NaN, and numbers beyond a field's bounds are `OptionError`s."""
    _assert_refused(component, "no_such_option", 1)
    for name, field in type(component).model_fields.items():
        for value in _wrong(field):
            _assert_refused(component, name, value)


def _assert_refused(component: Component, name: str, value: object) -> None:
    try:
        _again(component, **{name: value})
    except OptionError:
        return
    raise AssertionError(f"{component.name} accepts {name}={value!r}")


def _again(component: Component, **changes: object) -> Component:
    """Make a component once more from its fields, some of them changed."""
    fields = {name: getattr(component, name) for name in type(component).model_fields}
    return type(component)(**{**fields, **changes})


def _wrong(field: FieldInfo) -> Iterator[object]:
    """Values just outside the bounds of a field."""
    if field.annotation is float:
        yield math.nan
    for bound in field.metadata:
        for name, step in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
            limit = getattr(bound, name, None)
            if limit is not None:
                yield limit + step
