"""Keywords: what may stand in a schema, and what each of them takes."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Final

TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
"""The types of JSON, integers told apart."""

Schema = Mapping[str, object] | bool
"""A schema as JSON has it."""


def is_number(value: object) -> bool:
    """Whether a value is a number of JSON; booleans are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: object) -> bool:
    return is_number(value) and float(value).is_integer() and value >= 0  # type: ignore[arg-type, operator]


def _is_schema(value: object) -> bool:
    return isinstance(value, Mapping | bool)


def _are_schemas(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_schema, value))


def _are_named(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_is_schema, value.values()))


def _are_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _are_types(value: object) -> bool:
    kinds = [value] if isinstance(value, str) else value
    return isinstance(kinds, list | tuple) and bool(kinds) and all(each in TYPES for each in kinds)


_TAKES: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        (_is_count, "a whole number of at least 0"),
    ),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (is_number, "a number")
    ),
    "multipleOf": (lambda value: is_number(value) and value > 0, "a number above 0"),  # type: ignore[operator]
    **dict.fromkeys(("pattern", "format", "$ref"), (lambda value: isinstance(value, str), "text")),
    **dict.fromkeys(
        ("items", "additionalProperties"), (_is_schema, "a schema: an object, true or false")
    ),
    **dict.fromkeys(
        ("anyOf", "oneOf", "allOf", "prefixItems"), (_are_schemas, "a list of schemas")
    ),
    **dict.fromkeys(
        ("properties", "patternProperties", "$defs", "definitions"),
        (_are_named, "an object whose values are schemas"),
    ),
    "required": (_are_names, "a list of names"),
    "enum": (lambda value: isinstance(value, list | tuple) and bool(value), "a list of values"),
    "const": (lambda _: True, "a value"),
    "type": (_are_types, f"one of {', '.join(TYPES)}, or a list of them"),
}
_REFUSED: Final[Mapping[str, tuple[object, ...]]] = {
    **dict.fromkeys(("not", "$dynamicRef", "$recursiveRef"), ()),
    **dict.fromkeys(("then", "else"), ()),
    "uniqueItems": (False,),
    "contains": (),
    "propertyNames": (True, {}),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "dependencies"), ({},)),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), (True, {})),
}
"""What cannot be followed, with the values of it that say nothing."""

_NOTES: Final = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$vocabulary",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "if",
    "minContains",
    "maxContains",
]


def check_keywords(schema: Mapping[str, object], place: str) -> None:
    """Refuse a schema, its parts left alone, in which a keyword has what it does not take.

    Args:
        schema: The schema.
        place: Where it stands, as a JSON pointer.

    Raises:
        ValueError: It has such a keyword, one that cannot be followed, or nothing but a typing
            error; the message names the place.

    >>> check_keywords({"type": "array", "maxItems": "x"}, "#/items")
    Traceback (most recent call last):
    ValueError: has 'x' at #/items/maxItems, expected a whole number of at least 0
    """
    for word, value in schema.items():
        if word in _REFUSED and value not in _REFUSED[word]:
            if word in ("then", "else") and "if" not in schema:
                continue
            raise ValueError(f"has {word!r} at {place}, which cannot be followed")
        takes, wanted = _TAKES.get(word, (None, ""))
        if takes is not None and not takes(value):
            raise ValueError(f"has {value!r:.80} at {place}/{word}, expected {wanted}")
    known = (*_TAKES, *_REFUSED, *_NOTES)
    if schema and not schema.keys() & set(known):
        for word in schema:
            near = get_close_matches(str(word), known, n=1, cutoff=0.7)
            if near:
                raise ValueError(f"has {word!r:.80} at {place}: did you mean {near[0]!r}?")
