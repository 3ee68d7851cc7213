"""Bounds: a schema in which everything has an end, so that a weak model comes to one.

What is added only narrows a schema: a text that fits the bounded one fits the schema as it was.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from llguidance import LLMatcher, LLTokenizer

from gpt2sdk_guided.conjunction import Flat, listed, value_of, ways
from gpt2sdk_guided.keys import other_keys
from gpt2sdk_guided.keywords import TYPES

_WORDS = {
    "string": ("minLength", "maxLength", "pattern", "format", "allOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "minProperties",
        "maxProperties",
    ),
}
_STEPS = (1e-6, 1e-9)
_MOST_LENGTH = 100_000


@dataclass(frozen=True)
class Bounds:
    """Puts bounds into a schema without references.

    Attributes:
        characters: Most characters of a string that says nothing of its length; `None` for any.
        items: Most items of an array, and of keys that a schema does not name, likewise.
        digits: Most digits before a number's point; behind it there are at most 6.
        depth: How deep free values go.

    Example:
        >>> Bounds(8, 4, 2, 0).put({"allOf": [{"type": ["integer", "null"]}, {"minimum": 0}]})
        {'anyOf': [{'type': 'integer', 'minimum': 0, 'maximum': 99}, {'type': 'null'}]}
    """

    characters: int | None
    items: int | None
    digits: int | None
    depth: int

    def put(self, schema: object) -> object:
        """Return a schema with bounds; `False` where nothing fits.

        Raises:
            ValueError: What its parts say together cannot be held.
        """
        return self._put(schema, self.depth)

    def _put(self, schema: object, depth: int) -> object:
        made: list[object] = []
        for flat in ways(schema):
            for each in [self._anything(depth)] if not flat else self._of(flat):
                if each not in made:
                    made.append(each)
        return False if not made else made[0] if len(made) == 1 else {"anyOf": made}

    def _anything(self, depth: int) -> dict[str, object]:
        """Any value, with bounds; arrays and objects down to a depth."""
        kinds = ("null", "boolean", "integer", "string")
        plain: list[object] = [each for kind in kinds for each in self._of({"type": [kind]})]
        if depth <= 0:
            return {"anyOf": plain}
        inner = self._anything(min(depth, 2) - 1)
        most = {} if self.items is None else {"maxItems": self.items}
        keys = {} if self.items is None else {"maxProperties": self.items}
        array = {"type": "array", "items": inner, **most}
        free = {"patternProperties": {other_keys(()): inner}, "additionalProperties": False}
        return {"anyOf": [*plain, array, {"type": "object", **free, **keys}]}

    def _of(self, flat: Flat) -> Iterator[Flat]:
        """What fits a flat schema: one schema for each type, several for some objects."""
        if "enum" in flat:
            kinds = {"type": listed(flat, "type")} if "type" in flat else {}
            yield {**flat, **kinds}
            return
        for kind in listed(flat, "type") or _kinds(flat):
            words = _WORDS.get("number" if kind == "integer" else str(kind), ())
            own: Flat = {"type": kind, **{word: flat[word] for word in flat if word in words}}
            if kind == "string":
                yield self._string(own)
            elif kind in ("integer", "number"):
                yield self._number(own)
            elif kind == "array":
                yield from self._array(own)
            elif kind == "object":
                yield from self._object(own)
            else:
                yield own

    def _string(self, own: Flat) -> Flat:
        if self.characters is None or "maxLength" in own:
            return own
        most = max(self.characters, _count(own, "minLength"))
        if not own.keys() & {"pattern", "format", "allOf"}:
            return {**own, "maxLength": most}
        # What a pattern cannot be shorter than is no length to bound it by.
        while most <= _MOST_LENGTH:
            if _leaves_something({**own, "maxLength": most}):
                return {**own, "maxLength": most}
            most = 2 * most + 1
        return own

    def _number(self, own: Flat) -> Flat:
        if self.digits is None:
            return own
        low = max((own[each] for each in own if each.endswith("inimum")), default=None)  # type: ignore[type-var]
        high = min((own[each] for each in own if each.endswith("aximum")), default=None)  # type: ignore[type-var]
        for digits in range(self.digits, 16):
            most = 10**digits - 1
            made = dict(own)
            if low is None:
                made["minimum"] = min(-most, most if high is None else high - most)
            if high is None:
                made["maximum"] = max(most, -most if low is None else low + most)
            if own["type"] == "integer" or "multipleOf" in own:
                steps: list[Flat] = [made]
            else:
                steps = [{**made, "multipleOf": step} for step in _STEPS]
                steps += [made] if digits == self.digits else []
            for each in steps:
                if not own.keys() - {"type"} or _leaves_something(each):
                    return each
        return own

    def _array(self, own: Flat) -> Iterator[Flat]:
        prefix = [self._put(each, self.depth) for each in listed(own, "prefixItems")]
        items = self._put(own["items"], self.depth) if "items" in own else self._anything(1)
        least = _count(own, "minItems")
        most = own.get("maxItems")
        if False in prefix:
            prefix, items = prefix[: prefix.index(False)], False
        if items is False:
            most = len(prefix) if most is None else min(len(prefix), int(most))  # type: ignore[call-overload]
        elif most is None and self.items is not None:
            most = max(self.items, least, len(prefix))
        if most is None or least <= most:  # type: ignore[operator]
            first = {"prefixItems": prefix} if prefix else {}
            last = {} if most is None else {"maxItems": most}
            rest = {word: own[word] for word in own if word == "minItems"}
            yield {"type": "array", **first, "items": items, **rest, **last}

    def _object(self, own: Flat) -> Iterator[Flat]:
        """An object: with the keys that are named, or with all of these and others."""
        required = [str(each) for each in listed(own, "required")]
        names = dict.fromkeys([*own.get("properties", {}), *required])  # type: ignore[misc]
        values = {name: self._put(value_of(own, name), self.depth) for name in names}
        if any(values[name] is False for name in required):
            return
        named = {name: value for name, value in values.items() if value is not False}
        least, most = _count(own, "minProperties"), own.get("maxProperties")
        top = len(named) if most is None else min(len(named), int(most))  # type: ignore[call-overload]
        if len(required) > top:
            return
        if most is None and self.items is not None:
            most = max(len(named) + self.items, least)
        others = self._others(own, named, names, least)
        if others is None or (most is not None and int(most) <= len(named)):  # type: ignore[call-overload]
            yield from _closed(named, required, least, top)
            return
        fewest = least
        if len(required) < len(named):
            # llguidance counts keys only where all that are named must be there.
            yield from _closed(named, required, least, top)
            fewest = max(least, len(named) + 1)
        made: Flat = {"type": "object"}
        if named:
            made |= {"properties": named, "required": list(named)}
        made |= {"patternProperties": others, "additionalProperties": False}
        made |= {} if fewest <= len(named) else {"minProperties": fewest}
        yield {**made, **({} if most is None else {"maxProperties": most})}

    def _others(
        self, own: Flat, named: Mapping[str, object], names: Mapping[str, None], least: int
    ) -> dict[str, object] | None:
        """The patterns of keys that are not named, with their values; `None` for no such keys."""
        patterns: Mapping[str, object] = own.get("patternProperties", {})  # type: ignore[assignment]
        made = {each: self._put(part, self.depth) for each, part in patterns.items()}
        made = {each: part for each, part in made.items() if part is not False}
        if patterns:
            # A pattern that matches a name which may not come would let it in.
            return made if made and len(names) == len(named) else None
        more = own.get("additionalProperties", not names or least > len(named))
        value = self._anything(1) if more in (True, {}) else self._put(more, self.depth)
        return None if value is False else {other_keys(names): value}


def _closed(
    named: Mapping[str, object], required: list[str], least: int, top: int
) -> Iterator[Flat]:
    """An object with no other keys: where it needs some more or has too many, the first ones."""
    if least > top:
        return
    free = [name for name in named if name not in required]
    needed = {*required, *free[: max(0, least - len(required))]}
    room = {*required, *(free if top == len(named) else free[: top - len(required)])}
    kept = {name: value for name, value in named.items() if name in room}
    made: Flat = {"type": "object"}
    if kept:
        made["properties"] = kept
    if needed:
        made["required"] = [name for name in kept if name in needed]
    yield {**made, "additionalProperties": False}


def _count(own: Mapping[str, object], word: str) -> int:
    value = own.get(word, 0)
    return int(value) if isinstance(value, int | float) else 0


def _kinds(flat: Mapping[str, object]) -> tuple[str, ...]:
    """The types a schema that names none can only be meant for."""
    found = tuple(kind for kind, words in _WORDS.items() if flat.keys() & set(words))
    return found or TYPES


def _leaves_something(schema: Flat) -> bool:
    """Whether something fits a schema of a string or a number, as llguidance reads it."""
    return _is_possible(json.dumps(schema))


@lru_cache(maxsize=1_000)
def _is_possible(schema: str) -> bool:
    source = LLMatcher.grammar_from_json_schema(schema)
    return not LLMatcher(LLTokenizer("byte"), source, log_level=0).is_error()
