"""Presets: options as data, from a file or a stranger, and what they may do.

A preset names installed components and sets their fields; that is all. Names are looked up in the
registry and fields are checked by their types, so nothing in it is imported, opened or run.
"""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from os import PathLike

from gpt2sdk.components.call_record import CallRecord
from gpt2sdk.components.component import Component, freeze, neutral
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.preset_rules import PRESET_LIMITS, PresetRule
from gpt2sdk.components.records import Result
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.mention import argument
from gpt2sdk.options.field import is_plain_number, understood
from gpt2sdk.options.given import Each, Given, spelled
from gpt2sdk.options.named import named_strategy, takes_sampler
from gpt2sdk.options.settings import Settings
from gpt2sdk.plugins.registry import Registry

_ROLES: Mapping[str, type[Component]] = {
    "strategy": Strategy,
    "sampler": Sampler,
    "drafter": Drafter,
}

_LONGEST_KEY = 200

# What only JSON schemas have at their top, and what a schema may be of.
_OF_SCHEMAS = frozenset({"$schema", "$ref", "$defs", "$id", "properties"})
_KINDS = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


@dataclass(frozen=True, slots=True)
class Preset:
    """What a `config` holds.

    Attributes:
        options: Its options, as data.
        record: The record of a call, where it is one.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    record: CallRecord | None = None


def read_preset(config: object) -> Preset:
    """Return what a `config` holds.

    Args:
        config: A record; or, as data, options, a record, or what `gpt2sdk generate --json` prints.

    Raises:
        OptionError: It is none of these, is not data, or is too large.

    >>> read_preset({"top_p": 0.9}).options
    {'top_p': 0.9}
    """
    if config is None:
        return Preset()
    if isinstance(config, CallRecord):
        config = config.as_dict()
    if not isinstance(config, Mapping):
        message = f"config is {config!r:.60}, expected options as a dictionary, or the record of a"
        raise OptionError(f"{message} result{_way(config)}", name="config", value=config)
    inner = config.get("record")
    data: Mapping[str, object] = inner if isinstance(inner, Mapping) else config
    if is_schema(data):
        way = f"give it as {argument('json_schema')}"
        raise OptionError(f"config is a JSON schema, which is no preset: {way}", name="config")
    _Census().count(data, "config")
    if "row_seeds" in data or isinstance(data.get("options"), Mapping):
        record = CallRecord.from_dict(data)
        return Preset(_without_versions(record.options), record)
    return Preset(_without_versions(data))


def is_schema(config: object) -> bool:
    """Whether what was given for options is the JSON schema of something else.

    >>> is_schema({"type": "object"}), is_schema({"$ref": "#/$defs/a"}), is_schema({"top_p": 0.9})
    (True, True, False)
    """
    if not isinstance(config, Mapping):
        return False
    kind = config.get("type")
    return not _OF_SCHEMAS.isdisjoint(config) or (isinstance(kind, str) and kind in _KINDS)


def _way(config: object) -> str:
    """Say how what was given for a config is made one; empty where nobody knows."""
    if isinstance(config, Result):
        return ": give result.record"
    if isinstance(config, str) and config.lstrip().startswith("{"):
        return ": give json.loads(text), or CallRecord.from_json(text) for a record"
    if isinstance(config, str | PathLike):
        return ": no file is opened, give what json.load returns"
    return ""


def _without_versions(options: Mapping[str, object]) -> dict[str, object]:
    """Return options alone: `result.options` has versions beside them."""
    return {name: value for name, value in options.items() if name != "versions"}


@dataclass(slots=True)
class _Census:
    """Counts what is in a preset."""

    values: int = 0
    characters: int = 0

    def count(self, value: object, place: str, depth: int = 0) -> None:
        """Look at a value and all that is in it.

        Raises:
            OptionError: It is no data, or too large.
        """
        self.values += 1
        if self.values > PRESET_LIMITS.values:
            raise _too_large("config", f"more than {PRESET_LIMITS.values} values in all")
        if depth > PRESET_LIMITS.depth:
            raise _too_large(place, f"more than {PRESET_LIMITS.depth} lists inside one another")
        if isinstance(value, Mapping):
            _check_size(value, place, PRESET_LIMITS.items, "members")
            for key, item in value.items():
                _check_key(key, place)
                self.count(item, key if place == "config" else f"{place}.{key}", depth + 1)
        elif isinstance(value, list | tuple):
            _check_size(value, place, PRESET_LIMITS.items, "members")
            for item in value:
                self.count(item, place, depth + 1)
        elif isinstance(value, str):
            self._count_text(value, place)
        elif value is not None and type(value) not in {bool, int, float}:
            message = (
                f"{place} is {value!r:.60}, expected what JSON has: give objects with the call"
            )
            raise OptionError(message, name="config", value=value)

    def _count_text(self, text: str, place: str) -> None:
        _check_size(text, place, PRESET_LIMITS.characters, "characters in a text")
        self.characters += len(text)
        if self.characters > PRESET_LIMITS.all_characters:
            most = PRESET_LIMITS.all_characters
            raise _too_large("config", f"more than {most} characters in all its texts")


def _check_key(key: object, place: str) -> None:
    if not isinstance(key, str) or len(key) > _LONGEST_KEY:
        message = f"{place} has the key {key!r:.60}, expected a text of up to {_LONGEST_KEY}"
        raise OptionError(f"{message} characters", name="config", value=key)


def _check_size(value: Sized, place: str, most: int, what: str) -> None:
    """Refuse what has too many members."""
    if len(value) > most:
        raise _too_large(place, f"{len(value)} {what}, a preset may have {most}")


def _too_large(place: str, got: str) -> OptionError:
    return OptionError(f"{place} has {got}", name=place)


def kept(preset: Preset, options: Mapping[str, object], registry: Registry) -> dict[str, object]:
    """Return the options of a preset that count beside what the call gives.

    What the call gives goes before, and where it names another strategy, sampler or drafter, the
    options of the one in the preset are left out; so is its sampler where the other strategy takes
    none.

    Args:
        preset: The preset.
        options: What the call gives.
        registry: All components.

    Raises:
        OptionError: The record has functions, classes, files or models, which it cannot set, and
            the call does not give them; or it has a component that is not installed.
    """
    given = {spelled(name): value for name, value in options.items()}
    found = {name: value for name, value in preset.options.items() if spelled(name) not in given}
    short = {name.rpartition(".")[2] for name in given}
    for setting, role in _ROLES.items():
        if setting in given and given[setting] != preset.options.get(setting):
            found = _without(found, _replaced(preset, setting, role, registry))
            if setting == "strategy" and "sampler" in found and not _samples(given, registry):
                found = _without(found, _replaced(preset, "sampler", Sampler, registry))
                del found["sampler"]
    if preset.record and not preset.record.unrepeatable:
        _check_installed(preset.record, registry)
    missing = []
    for name, why in (preset.record.unrepeatable if preset.record else {}).items():
        found.pop(name, None)
        if name.rpartition(".")[2] not in short and not _is_gone(name, preset, given):
            missing.append((name, why))
    if missing:
        names = ", ".join(f"{name}=…" for name, _ in missing)
        whys = "; ".join(str(why) for _, why in missing)
        raise OptionError(
            f"the record cannot repeat its call alone: {whys}; give {names} with the call",
            name=missing[0][0],
            expected=names,
        )
    return found


def _check_installed(record: CallRecord, registry: Registry) -> None:
    """Make sure that there is every component of a record.

    Raises:
        OptionError: One is not installed.
    """
    for each in record.components:
        if not registry.named(each.name):
            whose = f" of {each.distribution} {each.version}" if each.distribution else ""
            message = f"the record has the {each.role} {each.name!r:.60}{whose}, which is not"
            raise OptionError(
                f"{message} installed: `gpt2sdk plugins` lists what is", name="config", value=each
            )


def check_prompts(preset: Preset, options: Mapping[str, object], prompts: int) -> None:
    """Make sure that a record with values for each prompt meets as many prompts.

    Args:
        preset: The preset.
        options: Those of its options that count.
        prompts: How many prompts the call has.

    Raises:
        OptionError: There are more or fewer.
    """
    record = preset.record
    columns = [name for name in record.columns if name in options] if record else []
    if record and columns and len(record.row_seeds) != prompts:
        several = f"{prompts} prompt{'s' * (prompts != 1)}"
        raise OptionError(
            f"the record is of a call of {len(record.row_seeds)} prompts, with a value of "
            f"{columns[0]} for each, and this one has {several}: give as many, or for one of "
            "them record.for_prompt(index)",
            name=columns[0],
            value=options[columns[0]],
            expected=f"{len(record.row_seeds)} prompts",
        )


def _samples(given: Mapping[str, object], registry: Registry) -> bool:
    """Whether the strategy that a call names takes a sampler."""
    named = Given("strategy", given["strategy"])
    strategy = understood(named, Settings.model_fields["strategy"]).value
    return takes_sampler(named_strategy(strategy, registry).component)


def _is_gone(name: str, preset: Preset, given: Mapping[str, object]) -> bool:
    """Whether an option belongs to a component in whose place the call names another one."""
    records = preset.record.components if preset.record else ()
    option = name.rpartition(".")[2]
    return any(
        option in each.options
        and each.role in given
        and preset.options.get(each.role) != given[each.role]
        for each in records
    )


def _replaced(
    preset: Preset, setting: str, role: type[Component], registry: Registry
) -> tuple[str, set[str]]:
    """Return the name and the options of the component that a preset has in a role."""
    for each in preset.record.components if preset.record else ():
        if each.role == setting:
            return each.name, set(each.options)
    name = preset.options.get(setting)
    offers = registry.named(name, role) if isinstance(name, str) else ()
    return (offers[0].name, set(offers[0].component.model_fields)) if offers else ("", set())


def _without(options: Mapping[str, object], replaced: tuple[str, set[str]]) -> dict[str, object]:
    """Return options without those of a component."""
    owner, names = replaced
    return {
        name: value
        for name, value in options.items()
        if name.rpartition(".")[2] not in names
        or spelled(name).rpartition(".")[0] not in {"", owner}
    }


def check_rules(component: type[Component], option: str, given: Given) -> None:
    """Make sure that what a preset sets keeps the rules of its option.

    Raises:
        OptionError: It does not.
    """
    field = component.model_fields[option]
    rules = [each for each in field.metadata if isinstance(each, PresetRule)]
    if not (given.preset and rules):
        return
    several = given.value
    if isinstance(several, list | tuple) and is_plain_number(field.annotation):
        several = Each(tuple(several))
    values = several.values if isinstance(several, Each) else (several,)
    default = None if field.is_required() else neutral(field)
    for value in values:
        if value is None or freeze(value) == freeze(default):
            continue
        for rule in rules:
            try:
                rule.check(value)
            except ValueError as error:
                message = f"{given.written} {error}"
                raise OptionError(message, name=given.written, value=value) from None
