"""What an option's type allows."""

from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin


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
