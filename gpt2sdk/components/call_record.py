"""The record of a call: what was in force, of which model and versions; it repeats the call."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gpt2sdk.errors import OptionError, listing
from gpt2sdk.spelling import likely


@dataclass(frozen=True, slots=True)
class ComponentRecord:
    """One component of a call.

    Attributes:
        role: What it did, such as `strategy`; several roles are joined by commas.
        name: What it is called among installed components, with its distribution before a colon
            where several have the name.
        options: Its options, JSON-ready.
        distribution: Where it comes from; empty for what no distribution ships.
        version: That distribution's version.
        columns: Those of its options that have a value for each prompt.
    """

    role: str
    name: str
    options: Mapping[str, object]
    distribution: str = ""
    version: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRecord:
    """All that a call's result depends on, but for its prompts; JSON-ready.

    `gen.generate(prompts, config=record)` repeats the call.

    Attributes:
        options: What was in force, as options that can be given again: defaults, the seed that was
            used, end tokens and the most new tokens included.
        model: What says which model it was: `name`, `fingerprint`, `dtype`, `quantization`,
            `vocab_size` and `context_length`.
        components: What acted, in the order in which it acts.
        versions: Of gpt2sdk, of the distributions that brought components, and of torch.
        row_seeds: The seed of each prompt's rows.
        columns: The options that have a value for each prompt.
        unrepeatable: The options that the record alone cannot set, and why: the caller's own
            functions and classes, and what names files or models.
    """

    options: Mapping[str, object]
    model: Mapping[str, object] = field(default_factory=dict)
    components: tuple[ComponentRecord, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    row_seeds: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    unrepeatable: Mapping[str, str] = field(default_factory=dict)

    def for_prompt(self, index: int) -> "CallRecord":
        """Return the record that repeats one prompt of the call by itself.

        Args:
            index: The prompt's number, from 0.

        Raises:
            OptionError: It is no number, or there was no such prompt.

        >>> record = CallRecord({"top_k": [5, 9], "seed": 1}, row_seeds=(1, 8), columns=("top_k",))
        >>> record.for_prompt(1).options
        {'top_k': 9, 'seed': 8}
        """
        if type(index) is not int:
            message = f"index is {index!r:.60}, expected a prompt's number, from 0"
            raise OptionError(message, name="index", value=index)
        if not 0 <= index < len(self.row_seeds):
            message = f"there is no prompt {index}: the call had {len(self.row_seeds)}"
            raise OptionError(message, name="index", value=index)
        return replace(
            self,
            options={**_chosen(self.options, self.columns, index), "seed": self.row_seeds[index]},
            components=tuple(
                replace(each, options=_chosen(each.options, each.columns, index), columns=())
                for each in self.components
            ),
            row_seeds=(self.row_seeds[index],),
            columns=(),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as a dictionary that JSON has a form for."""
        return asdict(self)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "CallRecord":
        """Return the record that `to_json` wrote, or that is in what `generate --json` printed.

        Raises:
            OptionError: It is none.
        """
        try:
            found = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise OptionError(f"a record is JSON: {error}", name="config", value=text) from None
        return cls.from_dict(found)

    @classmethod
    def from_dict(cls, found: object) -> "CallRecord":
        """Return the record that `as_dict` returned, from JSON or not.

        Raises:
            OptionError: It is none, or its parts do not fit together.

        >>> CallRecord.from_dict({"options": {}, "modle": {}})
        Traceback (most recent call last):
            ...
        gpt2sdk.errors.OptionError: a record has no modle: did you mean model?
        """
        if isinstance(found, Mapping) and isinstance(found.get("record"), Mapping):
            found = found["record"]
        if not isinstance(found, Mapping) or not isinstance(found.get("options"), Mapping):
            raise _wrong(f"a record is an object with options, got {found!r:.60}", found)
        data = _checked(found, "a record", _RECORD_FIELDS)
        if not data["row_seeds"]:
            raise _wrong("a record has no row_seeds: expected one for each prompt", found)
        data["components"] = tuple(
            ComponentRecord(**_checked(each, f"components[{place}] of a record", _COMPONENT_FIELDS))
            for place, each in enumerate(data.get("components", ()))
        )
        record = cls(**data)
        _check_agreement(record)
        return record


_OBJECT, _TEXT, _TEXTS = "an object", "a text", "a list of texts"
_FITS: Mapping[str, Callable[[object], bool]] = {
    _OBJECT: lambda value: isinstance(value, Mapping),
    _TEXT: lambda value: isinstance(value, str),
    "a list": lambda value: isinstance(value, list | tuple),
    _TEXTS: lambda value: isinstance(value, list | tuple) and _all(value, str),
    "a list of whole numbers": lambda value: isinstance(value, list | tuple) and _all(value, int),
    "an object of texts": lambda value: isinstance(value, Mapping) and _all(value.values(), str),
}
_RECORD_FIELDS: Mapping[str, str] = {
    "options": _OBJECT,
    "model": _OBJECT,
    "components": "a list",
    "versions": "an object of texts",
    "row_seeds": "a list of whole numbers",
    "columns": _TEXTS,
    "unrepeatable": "an object of texts",
}
_COMPONENT_FIELDS: Mapping[str, str] = {
    "role": _TEXT,
    "name": _TEXT,
    "options": _OBJECT,
    "distribution": _TEXT,
    "version": _TEXT,
    "columns": _TEXTS,
}
_NEEDED = frozenset({"options", "row_seeds", "role", "name"})
_NAMED_ROLES = ("strategy", "sampler", "drafter")


def _wrong(message: str, value: object) -> OptionError:
    return OptionError(message, name="config", value=value)


def _all(values: Iterable[object], kind: type) -> bool:
    return all(type(each) is kind for each in values)


def _checked(found: object, what: str, expected: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a part of a record, its lists as tuples.

    Raises:
        OptionError: It is no object, or a field is unknown, missing or of another kind.
    """
    if not isinstance(found, Mapping):
        raise _wrong(
            f"{what} is {found!r:.60}, expected an object with {listing(list(expected))}", found
        )
    for key in found:
        if key not in expected:
            near = likely(str(key), expected, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {listing(list(expected))}"
            raise _wrong(f"{what} has no {key}: {hint}", found)
    for key, kind in expected.items():
        if key not in found and key in _NEEDED:
            raise _wrong(f"{what} has no {key}: expected {kind}", found)
        if key in found and not _FITS[kind](found[key]):
            raise _wrong(f"{what} has {found[key]!r:.60} as its {key}, expected {kind}", found)
    return {
        key: tuple(value) if isinstance(value, list | tuple) else value
        for key, value in found.items()
    }


def _check_agreement(record: CallRecord) -> None:
    """Make sure that a record's components are those of its options, and columns have all prompts.

    Raises:
        OptionError: They are not.
    """
    for each in record.components:
        named = record.options.get(each.role, each.name)
        if each.role in _NAMED_ROLES and named != each.name:
            message = f"a record's {each.role} is {each.name!r} in its components and {named!r:.60}"
            raise _wrong(f"{message} in its options: expected one of them in both", each.name)
    parts = [("options", record.options, record.columns)]
    parts += [(f"component {each.name}", each.options, each.columns) for each in record.components]
    prompts = len(record.row_seeds)
    for what, options, columns in parts:
        for name in columns:
            values = _values(options.get(name))
            if values is None or len(values) != prompts:
                message = f"a record's {what} has {options.get(name)!r:.60} as its {name}, expected"
                raise _wrong(f"{message} {prompts} values, one for each of its row_seeds", options)


def _values(column: object) -> Sequence[object] | None:
    """Return the values that an option has for each prompt; `None` where it has one for all."""
    values = column.get("each") if isinstance(column, Mapping) else column
    return values if isinstance(values, list | tuple) else None


def _chosen(options: Mapping[str, object], columns: Iterable[str], index: int) -> dict[str, object]:
    """Return the options of one prompt."""
    chosen = dict(options)
    for name in columns:
        values = _values(chosen[name])
        chosen[name] = values[index] if values is not None else chosen[name]
    return chosen
