"""The record of a call: what was in force, of which model and versions; it repeats the call."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from gpt2sdk.errors import OptionError
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
            OptionError: There was no such prompt.

        >>> record = CallRecord({"top_k": [5, 9], "seed": 1}, row_seeds=(1, 8), columns=("top_k",))
        >>> record.for_prompt(1).options
        {'top_k': 9, 'seed': 8}
        """
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
        """Return the record that `to_json` wrote.

        Raises:
            OptionError: It is none.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise OptionError(f"a record is JSON: {error}", name="config", value=text) from None
        return cls.from_dict(found)

    @classmethod
    def from_dict(cls, found: object) -> "CallRecord":
        """Return the record that `as_dict` returned, from JSON or not.

        Raises:
            OptionError: It is none.

        >>> CallRecord.from_dict({"options": {}, "modle": {}})
        Traceback (most recent call last):
            ...
        gpt2sdk.errors.OptionError: a record has no modle: did you mean model?
        """
        known = {each.name for each in fields(cls)}
        if not isinstance(found, Mapping) or not isinstance(found.get("options"), Mapping):
            message = f"a record is an object with options, got {found!r:.60}"
            raise OptionError(message, name="config", value=found)
        for key in found:
            if key not in known:
                near = likely(str(key), known, 1)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known))}"
                raise OptionError(f"a record has no {key}: {hint}", name="config", value=found)
        for key, kind in _KINDS.items():
            if not isinstance(found.get(key, kind()), tuple | kind if kind is list else kind):
                message = f"a record's {key} is {found[key]!r:.60}, which it cannot be"
                raise OptionError(message, name="config", value=found)
        try:
            components = tuple(
                ComponentRecord(**{**each, "columns": tuple(each.get("columns", ()))})
                for each in found.get("components", ())
            )
        except (TypeError, AttributeError):
            message = "a record's components have role, name, options, distribution and version"
            raise OptionError(message, name="config", value=found) from None
        tuples = {key: tuple(found.get(key, ())) for key in ("row_seeds", "columns")}
        return cls(**{**found, **tuples, "components": components})


_KINDS: dict[str, Any] = {
    "model": dict,
    "versions": dict,
    "unrepeatable": dict,
    "components": list,
    "row_seeds": list,
    "columns": list,
}


def _chosen(options: Mapping[str, object], columns: object, index: int) -> dict[str, object]:
    """Return the options of one prompt."""
    chosen = dict(options)
    for name in columns if isinstance(columns, tuple) else ():
        column = chosen[name]
        values = column["each"] if isinstance(column, Mapping) else column
        chosen[name] = values[index]  # type: ignore[index]
    return chosen
