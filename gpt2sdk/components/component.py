"""A component: one frozen value that is configuration, documentation, JSON and behaviour."""

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, ClassVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from typing_extensions import override

from gpt2sdk.errors import OptionError
from gpt2sdk.spelling import likely

_CHANGEABLE = (list, set, frozenset, Mapping)
"""Containers that are never the value of an option: tuples stand for them."""

_SUBJECT = re.compile(r"^(Input|String|Tuple|Value error,) ?")
"""What stands before the verb in what pydantic says."""

_MOST_SHOWN = 200


class Component(BaseModel):
    """Base of every role. Fields are given by name and are the options users set.

    The first field is the switch: a component runs when it differs from its default, so that
    default must mean "not used". Lists and sets given for tuples become tuples, so components hash.

    Attributes:
        name: What users call the component; the class name in snake_case unless it is set.

    Raises:
        OptionError: A field is unknown, missing, out of range, NaN or of the wrong type.
        TypeError: At the definition of a class: a field is a list, set or mapping.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: ClassVar[str]

    def __init__(self, *positional: object, **fields: object) -> None:
        if positional:
            switch = type(self).switch() or "option"
            example = f"{type(self).__name__}({switch}={positional[0]!r})"
            message = f"{type(self).name} takes its options by name: {example}"
            raise OptionError(message, name=switch, value=positional[0])
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise option_error(error, type(self).name, list(type(self).model_fields)) from None

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)
        if not callable(cls.__dict__.get("wants", len)):
            raise unwanted(cls.__name__, cls.__dict__["wants"], "a method that returns layers")
        for option, field in cls.model_fields.items():
            _check_can_be_frozen(f"{cls.__name__}.{option}", field.annotation)

    @model_validator(mode="before")
    @classmethod
    def _freeze_containers(cls, fields: object) -> object:
        if isinstance(fields, Mapping):
            return {key: freeze(value) for key, value in fields.items()}
        return fields

    @classmethod
    def switch(cls) -> str | None:
        """The field that turns the component on; `None` for a component without fields."""
        return next(iter(cls.model_fields), None)

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """The fields that users set: all of them, unless a role says otherwise."""
        return tuple(cls.model_fields)

    @classmethod
    def is_neutral(cls, value: object) -> bool:
        """Whether `value` for the switch means "not used"."""
        switch = cls.switch()
        return switch is not None and value == neutral(cls.model_fields[switch])

    @classmethod
    def example_options(cls) -> dict[str, object]:
        """Options with which it does something in the conformance checks.

        By default what the fields state, as in `Field(examples=[0.9])`. Overridden where a value
        has to be made, such as a model. The checks' vocabulary are small letters, a blank, a full
        stop and an end (`gpt2sdk.testing.Letters`); their model has two layers.
        """
        fields = cls.model_fields.items()
        return {name: field.examples[0] for name, field in fields if field.examples}

    def is_on(self) -> bool:
        """Whether it does something: its switch is not neutral, or it has none.

        Overridden where another option acts though the switch is at its default, as the range of
        a dynamic temperature does around a temperature of 1.
        """
        switch = type(self).switch()
        return switch is None or not self.is_neutral(getattr(self, switch))

    def recorded(self, option: str) -> object:
        """Return an option's value as a record keeps it, to be given again: as it is.

        Overridden where a value that is no data, as a class, does what some data would do.
        """
        value: object = getattr(self, option)
        return value


def unwanted(owner: str, wants: object, expected: str) -> TypeError:
    """Return the error of a component whose `wants` names no layers."""
    return TypeError(f"{owner}: wants is {wants!r}, expected {expected}, such as [-1] for the last")


def neutral(field: FieldInfo) -> object:
    """The default of a field, made where it is made by a factory."""
    return field.get_default(call_default_factory=True)


def identity(component: Component | None) -> object:
    """What equal components share; one that cannot be hashed equals only itself."""
    try:
        hash(component)
    except TypeError:
        return id(component)
    return component


def snake_case(name: str) -> str:
    """Spell a class name as an option name.

    >>> snake_case("NoRepeatNgramSize")
    'no_repeat_ngram_size'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def freeze(value: object) -> object:
    """Turn lists, sets and mappings into tuples, mappings as tuples of pairs, at every depth.

    >>> freeze({5: [1, 2]})
    ((5, (1, 2)),)
    """
    if isinstance(value, Mapping):
        return tuple((freeze(key), freeze(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    if isinstance(value, set | frozenset):
        return tuple(sorted(freeze(item) for item in value))  # type: ignore[type-var]
    return value


def _check_can_be_frozen(option: str, annotation: object) -> None:
    """Refuse a field's type that no value has once containers are tuples.

    Raises:
        TypeError: It has lists, sets or mappings, at any depth, and no alternative to them.
    """
    never = _changeable(annotation)
    if never is None:
        return
    members = ", ".join(map(_spelled, get_args(never)))
    item = f"tuple[{members or 'str, str'}]" if issubclass(_kind(never), Mapping) else members
    message = (
        f"{option} can never have a value of its type {_spelled(never)}: containers are kept as "
        f"tuples, so that components hash; write tuple[{item or 'str'}, ...]"
    )
    raise TypeError(message)


def _changeable(annotation: object) -> object:
    """Return what keeps every value from a type: a list, set or mapping in it; `None` if nothing.

    >>> _changeable(tuple[list[int], ...]), _changeable(list[int] | tuple[int, ...])
    (list[int], None)
    """
    if issubclass(_kind(annotation), _CHANGEABLE):
        return annotation
    members = [member for member in get_args(annotation) if member is not NoneType]
    found = [_changeable(member) for member in members]
    if get_origin(annotation) in (Union, UnionType) and None in found:
        return None
    return next((each for each in found if each is not None), None)


def _kind(annotation: object) -> type:
    """Return the class of which a type is, without its parameters; `object` where it is none."""
    kind = get_origin(annotation) or annotation
    return kind if isinstance(kind, type) else object


def _spelled(annotation: object) -> str:
    """Spell a type as it is written.

    >>> _spelled(int), _spelled(list[int])
    ('int', 'list[int]')
    """
    plain = isinstance(annotation, type) and not get_args(annotation)
    return getattr(annotation, "__name__", "") if plain else str(annotation)


def option_error(error: ValidationError, owner: str, known: list[str]) -> OptionError:
    """Say in one line what pydantic found wrong with the options of `owner`."""
    found = error.errors(include_url=False)
    first = found[0]
    name = str(first["loc"][0]) if first["loc"] else owner
    if first["type"] == "extra_forbidden":
        near = likely(name, known, 2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
        return OptionError(f"{name} is not an option of {owner}: {hint}", name=name)
    if first["type"] == "missing":
        return OptionError(f"{owner} needs {name}", name=name)
    nearest = _nearest([each for each in found if each["loc"][:1] == first["loc"][:1]])
    place = ".".join(map(str, _place(nearest[0])))
    where = f"{name}[{place}]" if place else name
    value = nearest[0]["input"]
    expected = _expected(nearest)
    got = repr(value)
    got = got if len(got) <= _MOST_SHOWN else f"{got[:_MOST_SHOWN]}…"
    return OptionError(f"{where} {expected}, got {got}", name=name, value=value, expected=expected)


def _nearest(found: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return what is wrong with a value in the readings that come nearest to fitting.

    A field that takes several types has an error for each. One inside a container, or about the
    range of a value whose type fits, tells more than that the other types do not fit.
    """
    deepest = max(len(_place(each)) for each in found)
    found = [each for each in found if len(_place(each)) == deepest]
    ranges = [each for each in found if not each["type"].endswith(("_type", "literal_error"))]
    return ranges[:1] or [each for each in found if _place(each) == _place(found[0])]


def _place(found: ErrorDetails) -> list[int]:
    """Return the indices of what is wrong in a container."""
    return [part for part in found["loc"][1:] if isinstance(part, int)]


def _expected(found: list[ErrorDetails]) -> str:
    """Say what would have been accepted."""
    first, *others = (_SUBJECT.sub("", str(each["msg"])) for each in found)
    alternatives = [each.removeprefix("should be ") for each in others]
    return " or ".join(dict.fromkeys([first, *alternatives])).replace("a valid tuple", "a list")
