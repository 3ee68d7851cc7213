"""Bounds: a schema in which everything has an end, so that a weak model comes to one.

What is added only narrows a schema: a text that fits the bounded one fits the schema as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

_KEY = "^[A-Za-z_][A-Za-z0-9_]{0,14}$"
_MOST_NODES = 20_000
_ANY_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


@dataclass
class Bounds:
    """Puts bounds into a schema.

    Attributes:
        characters: Most characters of a string that says nothing of its length; `None` for any.
        items: Most items of an array, and keys of a free object, likewise.
        digits: Most digits before a number's point; behind it there are at most 6.
        depth: How often a definition may stand inside itself, and how deep free values go.
        root: The whole schema, where references lead.
    """

    characters: int | None
    items: int | None
    digits: int | None
    depth: int
    root: object
    _nodes: int = field(default=0, init=False)

    def put(self, schema: object, above: tuple[str, ...] = ()) -> object:  # noqa: C901, PLR0911 - a case each
        """Return a schema with bounds, references replaced by what they lead to.

        A definition that stands inside itself more than `depth` times becomes `False`: nothing.

        Raises:
            ValueError: A reference leads nowhere, or the schema gets too large.
        """
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise ValueError(f"has more than {_MOST_NODES} parts once references are followed")
        if schema is True or schema == {}:
            return self._anything(self.depth)
        if not isinstance(schema, Mapping):
            return schema
        if "$ref" in schema:
            return self._followed(schema, above)
        made = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        for word in ("anyOf", "oneOf"):
            if word in made:
                made[word] = [
                    part for each in made[word] if (part := self.put(each, above)) is not False
                ]
                if not made[word]:
                    return False
        if "allOf" in made:
            made["allOf"] = [self.put(each, above) for each in made["allOf"]]
            return False if False in made["allOf"] else made
        if {"enum", "const", "anyOf", "oneOf", "not"} & made.keys() and "type" not in made:
            return made
        return self._typed(made, above)

    def _followed(self, schema: Mapping[str, object], above: tuple[str, ...]) -> object:
        name = str(schema["$ref"])
        if above.count(name) > self.depth:
            return False
        target = self._find(name)
        rest = {key: each for key, each in schema.items() if key not in ("$ref", "$defs")}
        rest.pop("definitions", None)
        if isinstance(target, Mapping):
            target = {**target, **rest}
        return self.put(target, (*above, name))

    def _find(self, name: str) -> object:
        found = self.root
        if name != "#":
            for part in name.removeprefix("#/").split("/"):
                key = part.replace("~1", "/").replace("~0", "~")
                if not name.startswith("#/") or not isinstance(found, Mapping) or key not in found:
                    raise ValueError(f"has the reference {name!r}, which leads nowhere in it")
                found = found[key]
        return found

    def _typed(self, made: dict[str, object], above: tuple[str, ...]) -> object:
        kinds = made.get("type", _kinds(made))
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)  # type: ignore[call-overload]
        if "type" not in made and len(kinds) == len(_ANY_TYPES):
            return {**self._anything(self.depth), **made}
        if (
            "string" in kinds
            and self.characters is not None
            and not made.keys() & {"enum", "const"}
        ):
            least = int(made.get("minLength", 0))  # type: ignore[call-overload]
            made.setdefault("maxLength", max(self.characters, least))
        if {"integer", "number"} & set(kinds):
            self._numbers(made, kinds)
        if "array" in kinds and not self._array(made, above):
            return False
        if "object" in kinds and not self._object(made, above):
            return False
        return made

    def _numbers(self, made: dict[str, object], kinds: list[str]) -> None:
        if self.digits is None or made.keys() & {"enum", "const"}:
            return
        most = 10**self.digits - 1
        least_word = {"minimum", "exclusiveMinimum"} & made.keys()
        most_word = {"maximum", "exclusiveMaximum"} & made.keys()
        low = max((made[each] for each in least_word), default=-most)  # type: ignore[type-var]
        high = min((made[each] for each in most_word), default=most)  # type: ignore[type-var]
        if not least_word:
            made["minimum"] = min(-most, high - most)
        if not most_word:
            made["maximum"] = max(most, low + most)
        if "integer" not in kinds:
            made.setdefault("multipleOf", 1e-6)

    def _array(self, made: dict[str, object], above: tuple[str, ...]) -> bool:
        prefix = [self.put(each, above) for each in made.get("prefixItems", ())]  # type: ignore[attr-defined]
        if False in prefix:
            return False
        if prefix:
            made["prefixItems"] = prefix
        items = self.put(made["items"], above) if "items" in made else self._anything(1)
        least = int(made.get("minItems", 0))  # type: ignore[call-overload]
        if items is False:
            made["items"] = False
            made["maxItems"] = len(prefix)
            return bool(least <= len(prefix))
        made["items"] = items
        if self.items is not None:
            made.setdefault("maxItems", max(self.items, least, len(prefix)))
        return True

    def _object(self, made: dict[str, object], above: tuple[str, ...]) -> bool:
        given: Mapping[str, object] = made.get("properties", {})  # type: ignore[assignment]
        required = made.get("required", ())
        properties = {key: self.put(each, above) for key, each in given.items()}
        if any(properties.get(key) is False for key in required):  # type: ignore[attr-defined]
            return False
        if properties:
            made["properties"] = {
                key: each for key, each in properties.items() if each is not False
            }
        patterns: Mapping[str, object] = made.get("patternProperties", {})  # type: ignore[assignment]
        if patterns:
            made["patternProperties"] = {
                key: self.put(each, above) for key, each in patterns.items()
            }
        more = made.get("additionalProperties", not (properties or patterns))
        named = {key for key in required if key not in properties}  # type: ignore[attr-defined]
        least = int(made.get("minProperties", 0))  # type: ignore[call-overload]
        # Other keys have no end of their own, so there are none where the schema can do without.
        enough = bool(properties or patterns) and not named and least <= len(properties)
        bounded = self.items is not None and enough
        if more is False or bounded or (properties and "additionalProperties" not in made):
            made["additionalProperties"] = False
        elif self.items is not None:
            value = self._anything(1) if more in (True, {}) else self.put(more, above)
            if value is False:
                made["additionalProperties"] = False
            elif properties or patterns or named:
                made["additionalProperties"] = value
            else:
                made["patternProperties"] = {_KEY: value}
                made["additionalProperties"] = False
            made.setdefault("maxProperties", max(self.items, least, len(properties) + len(named)))
        return True

    def _anything(self, depth: int) -> dict[str, object]:
        """Any value, with bounds; arrays and objects down to a depth."""
        plain: list[object] = [{"type": "null"}, {"type": "boolean"}]
        plain += [self._typed({"type": kind}, ()) for kind in ("integer", "string")]
        if depth <= 0:
            return {"anyOf": plain}
        inner = self._anything(min(depth, 2) - 1)
        most = {} if self.items is None else {"maxItems": self.items}
        keys = {} if self.items is None else {"maxProperties": self.items}
        array = {"type": "array", "items": inner, **most}
        free = {"patternProperties": {_KEY: inner}, "additionalProperties": False}
        return {"anyOf": [*plain, array, {"type": "object", **free, **keys}]}


def _kinds(made: Mapping[str, object]) -> tuple[str, ...]:
    """The types a schema that names none can only be meant for."""
    words = {
        "string": ("maxLength", "minLength", "pattern", "format"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        "array": ("items", "prefixItems", "minItems", "maxItems"),
        "object": ("properties", "required", "additionalProperties", "patternProperties"),
    }
    found = tuple(kind for kind, keys in words.items() if made.keys() & set(keys))
    return found or _ANY_TYPES
