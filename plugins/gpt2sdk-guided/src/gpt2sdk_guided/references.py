"""References: a schema with each replaced by what it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from gpt2sdk_guided.keywords import check_keywords

MOST_PARTS = 20_000
"""Most parts of a schema whose references are replaced."""

_ONE = ("items", "additionalProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "patternProperties")


@dataclass
class References:
    """Replaces references, so that what a schema says stands in one place.

    What stands beside a reference holds as well: both are parts of an `allOf`. A definition that
    stands inside itself more than `depth` times becomes `False`: nothing fits.

    Attributes:
        root: The whole schema, where references lead.
        depth: How often a definition may stand inside itself.

    Example:
        >>> schema = {"$defs": {"A": {"type": "integer"}}, "$ref": "#/$defs/A", "minimum": 5}
        >>> References(schema, 2).replaced()
        {'allOf': [{'type': 'integer'}, {'minimum': 5}]}
    """

    root: object
    depth: int
    _parts: int = field(default=0, init=False)

    def replaced(self) -> object:
        """Return the schema without references.

        Raises:
            ValueError: A reference leads nowhere, a keyword has what it does not take, or there
                are too many parts.
        """
        return self._put(self.root, "#", ())

    def _put(self, schema: object, place: str, above: tuple[str, ...]) -> object:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise ValueError(f"has more than {MOST_PARTS} parts once references are followed")
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            raise ValueError(f"has {schema!r:.80} at {place}, expected a schema")  # noqa: TRY004 - of data
        check_keywords(schema, place)
        out = {
            word: value
            for word, value in schema.items()
            if word not in ("$defs", "definitions", "$ref")
        }
        for word in out.keys() & set(_ONE):
            out[word] = self._put(out[word], f"{place}/{word}", above)
        for word in out.keys() & set(_LISTS):
            each = enumerate(out[word])
            out[word] = [self._put(part, f"{place}/{word}/{at}", above) for at, part in each]
        for word in out.keys() & set(_NAMED):
            named = out[word].items()
            out[word] = {
                key: self._put(part, f"{place}/{word}/{key}", above) for key, part in named
            }
        if "$ref" not in schema:
            return out
        name = str(schema["$ref"])
        if above.count(name) > self.depth:
            return False
        target = self._put(self._find(name), name, (*above, name))
        return {"allOf": [target, out]} if out else target

    def _find(self, name: str) -> object:
        found = self.root
        if name != "#":
            for part in unquote(name).removeprefix("#/").split("/"):
                key = part.replace("~1", "/").replace("~0", "~")
                if not name.startswith("#/"):
                    found = None
                elif isinstance(found, list | tuple) and key.isdecimal() and int(key) < len(found):
                    found = found[int(key)]
                elif isinstance(found, Mapping) and key in found:
                    found = found[key]
                else:
                    found = None
                if found is None:
                    raise ValueError(f"has the reference {name!r}, which leads nowhere in it")
        return found
