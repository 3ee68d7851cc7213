"""Conjunctions: what fits several schemas at once, as schemas that say all they say themselves.

A flat schema has no `allOf`, `anyOf` or `oneOf` but for several patterns or formats of a string.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from gpt2sdk_guided.keywords import TYPES

Flat = dict[str, object]
"""A schema that says all it says itself."""

_MOST_WAYS = 2_000
_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_TEXTS = ("pattern", "format")
_SIZES = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def ways(schema: object) -> list[Flat]:
    """Return flat schemas of which one fits wherever a schema fits, and the reverse.

    Raises:
        ValueError: They are too many, parts of a `oneOf` may both fit, or patterns of keys of
            several parts cannot be told apart.

    >>> ways({"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 0}, {"type": "null"}]})
    [{'type': ['integer'], 'minimum': 5}, {'type': ['integer'], 'maximum': 0}]
    """
    if isinstance(schema, bool) or not isinstance(schema, Mapping):
        return [{}] if schema else []
    first = _flat(schema)
    found = [] if first is None else [first]
    for part in _parts(schema, "allOf"):
        found = _crossed(found, ways(part))
    if "anyOf" in schema:
        found = _crossed(found, [way for part in _parts(schema, "anyOf") for way in ways(part)])
    if "oneOf" in schema:
        parts = [_crossed(found, ways(part)) for part in _parts(schema, "oneOf")]
        for at, part in enumerate(parts):
            for other in parts[:at]:
                if any(map(_can_fit, _crossed(part, other))):
                    raise ValueError(
                        "has a 'oneOf' of which several parts may fit one value; write 'anyOf', or "
                        "require a key in which they differ"
                    )
        found = [way for part in parts for way in part]
    return found


def both(first: object, second: object) -> object:
    """Return what fits two schemas, not yet taken apart."""
    if first is False or second is False:
        return False
    if first in (True, {}) or first == second:
        return second
    return first if second in (True, {}) else {"allOf": [first, second]}


def value_of(flat: Mapping[str, object], key: str) -> object:
    """Return the schema of what stands behind a key of an object."""
    own = _named(flat, "properties")
    found = [own[key]] if key in own else []
    found += [each for p, each in _named(flat, "patternProperties").items() if _fits(p, key)]
    if not found:
        return flat.get("additionalProperties", True)
    out = found[0]
    for each in found[1:]:
        out = both(out, each)
    return out


def listed(flat: Mapping[str, object], word: str) -> Sequence[object]:
    """The items of a keyword that takes a list."""
    return flat.get(word, ())  # type: ignore[return-value]


def _parts(schema: Mapping[str, object], word: str) -> Sequence[object]:
    return listed(schema, word)


def _named(flat: Mapping[str, object], word: str) -> Mapping[str, object]:
    return flat.get(word, {})  # type: ignore[return-value]


def _fits(pattern: str, key: str) -> bool:
    try:
        return re.search(pattern, key) is not None
    except re.error as error:
        raise ValueError(
            f"has the pattern {pattern!r:.80} of keys, which is none: {error}"
        ) from None


def _crossed(first: Iterable[Flat], second: Sequence[Flat]) -> list[Flat]:
    out = [way for a in first for b in second if (way := _merged(a, b)) is not None]
    if len(out) > _MOST_WAYS:
        raise ValueError(f"leaves more than {_MOST_WAYS} ways to choose among in one place")
    return out


def _flat(schema: Mapping[str, object]) -> Flat | None:
    """Return what a schema says beside its parts; `None` where nothing fits."""
    kept: tuple[str, ...] = (
        *_LEAST,
        *_MOST,
        *_TEXTS,
        "multipleOf",
        "enum",
        "items",
        "prefixItems",
        "properties",
    )
    kept += ("required", "patternProperties", "additionalProperties")
    out = {word: schema[word] for word in schema if word in kept}
    if "const" in schema:
        same = [each for each in listed(out, "enum") if _key(each) == _key(schema["const"])]
        if "enum" in out and not same:
            return None
        out["enum"] = [schema["const"]]
    if "type" in schema:
        kinds = schema["type"]
        out = {"type": [kinds] if isinstance(kinds, str) else list(kinds), **out}  # type: ignore[call-overload]
    return _possible(out)


def _merged(a: Flat, b: Flat) -> Flat | None:
    out: Flat = {**a, **b}
    if "type" in a and "type" in b:
        out["type"] = _types(listed(a, "type"), listed(b, "type"))
    if "enum" in a and "enum" in b:
        known = {_key(each) for each in listed(b, "enum")}
        out["enum"] = [each for each in listed(a, "enum") if _key(each) in known]
    for words, choose in ((_LEAST, max), (_MOST, min)):
        for word in words:
            if word in a and word in b:
                out[word] = choose(a[word], b[word])  # type: ignore[call-overload]
    if "multipleOf" in a and "multipleOf" in b:
        out["multipleOf"] = _common(a["multipleOf"], b["multipleOf"])
    _add_texts(out, a, b)
    if "required" in a and "required" in b:
        out["required"] = list(dict.fromkeys([*listed(a, "required"), *listed(b, "required")]))
    if a.keys() & {"items", "prefixItems"} and b.keys() & {"items", "prefixItems"}:
        size = max(len(listed(a, "prefixItems")), len(listed(b, "prefixItems")))
        out["prefixItems"] = [both(_item(a, at), _item(b, at)) for at in range(size)]
        out["items"] = both(a.get("items", True), b.get("items", True))
    _add_keys(out, a, b)
    return _possible(out)


def _add_texts(out: Flat, a: Flat, b: Flat) -> None:
    """Patterns and formats of both; a second one becomes a part of its own."""
    more = [*listed(a, "allOf"), *listed(b, "allOf")]
    for word in _TEXTS:
        if word in a and word in b and a[word] != b[word]:
            out[word] = a[word]
            more.append({"type": "string", word: b[word]})
    if more:
        out["allOf"] = more


def _add_keys(out: Flat, a: Flat, b: Flat) -> None:
    """Keys of both: what one does not name, its other keys are for."""
    closed = [flat for flat in (a, b) if flat.get("additionalProperties", True) not in (True, {})]
    names = dict.fromkeys([*_named(a, "properties"), *_named(b, "properties")])
    patterns = dict.fromkeys([*_named(a, "patternProperties"), *_named(b, "patternProperties")])
    for flat in closed:
        own = _named(flat, "patternProperties")
        for each in patterns.keys() - own.keys():
            if own or any(_fits(each, name) for name in _named(flat, "properties")):
                raise ValueError(
                    f"has keys of the pattern {each!r:.80} beside a part whose "
                    "'additionalProperties' rules out some of them, which cannot be followed"
                )
    if names:
        out["properties"] = {name: both(value_of(a, name), value_of(b, name)) for name in names}
    if patterns:
        out["patternProperties"] = {
            each: both(_of_pattern(a, each), _of_pattern(b, each)) for each in patterns
        }
    if closed:
        others = (flat.get("additionalProperties", True) for flat in (a, b))
        out["additionalProperties"] = both(*others)


def _of_pattern(flat: Flat, pattern: str) -> object:
    own = _named(flat, "patternProperties")
    return own[pattern] if pattern in own else flat.get("additionalProperties", True)


def _item(flat: Mapping[str, object], at: int) -> object:
    first = listed(flat, "prefixItems")
    return first[at] if at < len(first) else flat.get("items", True)


def _types(first: Iterable[object], second: Iterable[object]) -> list[object]:
    out: list[object] = []
    for a in first:
        for b in second:
            same = a if a == b else "integer" if {a, b} == {"integer", "number"} else None
            if same is not None and same not in out:
                out.append(same)
    return [each for each in out if each != "integer" or "number" not in out]


def _common(first: object, second: object) -> int | float:
    """The least number that is a multiple of both."""
    a, b = Fraction(str(first)), Fraction(str(second))
    least = Fraction(math.lcm(a.numerator, b.numerator), math.gcd(a.denominator, b.denominator))
    return int(least) if least.denominator == 1 else float(least)


def _key(value: object) -> str:
    """Text that equal values of JSON share: 1 and 1.0, but not true."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _possible(flat: Flat) -> Flat | None:
    """Leave out the types of which nothing fits; `None` where none is left."""
    if "enum" in flat:
        flat["enum"] = [each for each in listed(flat, "enum") if _may_be(each, flat)]
        return flat if flat["enum"] else None
    given = flat.get("type", [each for each in TYPES if each != "integer"])
    out = [each for each in given if _has_room(str(each), flat)]  # type: ignore[attr-defined]
    if len(out) < len(given):  # type: ignore[arg-type]
        flat["type"] = out
    return flat if out else None


def _has_room(kind: str, flat: Mapping[str, object]) -> bool:
    if kind in ("integer", "number"):
        low = max((flat[each] for each in _LEAST[:2] if each in flat), default=-math.inf)  # type: ignore[type-var]
        high = min((flat[each] for each in _MOST[:2] if each in flat), default=math.inf)  # type: ignore[type-var]
        open_end = low in (flat.get(_LEAST[1]), flat.get(_MOST[1])) or high == flat.get(_MOST[1])
        return bool(low < high or (low == high and not open_end))  # type: ignore[operator]
    if kind in _SIZES:
        least, most = _SIZES[kind]
        return bool(flat.get(least, 0) <= flat.get(most, math.inf))  # type: ignore[operator]
    return True


def _may_be(value: object, flat: Mapping[str, object]) -> bool:
    """Whether a value may fit: by its type, its size and the keys it has."""
    kind = _kind(value)
    kinds = listed(flat, "type") or TYPES
    if kind not in kinds and not (kind == "integer" and "number" in kinds):
        return False
    if kind in ("integer", "number"):
        return bool(
            flat.get("minimum", -math.inf) <= value <= flat.get("maximum", math.inf)  # type: ignore[operator]
            and flat.get("exclusiveMinimum", -math.inf)
            < value
            < flat.get("exclusiveMaximum", math.inf)  # type: ignore[operator]
        )
    if kind in _SIZES:
        least, most = _SIZES[kind]
        size = len(value)  # type: ignore[arg-type]
        if not flat.get(least, 0) <= size <= flat.get(most, math.inf):  # type: ignore[operator]
            return False
    return kind != "object" or set(listed(flat, "required")) <= value.keys()  # type: ignore[attr-defined]


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "integer" if float(value).is_integer() else "number"
    plain = {str: "string", Mapping: "object"}
    return next((name for kind, name in plain.items() if isinstance(value, kind)), "array")


def _can_fit(flat: Flat) -> bool:
    """Whether something may fit, as far as what must be there says."""
    kinds = listed(flat, "type") or TYPES
    if "enum" in flat or set(kinds) - {"object", "array"}:
        return True
    if "object" in kinds and all(
        any(map(_can_fit, ways(value_of(flat, str(key))))) for key in listed(flat, "required")
    ):
        return True
    needed = int(flat.get("minItems", 0))  # type: ignore[call-overload]
    first = min(needed, len(listed(flat, "prefixItems")) + 1)
    return "array" in kinds and all(
        any(map(_can_fit, ways(_item(flat, at)))) for at in range(first)
    )
