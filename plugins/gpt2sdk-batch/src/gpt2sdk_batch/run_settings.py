"""What all lines of a run have in common, and what made them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gpt2sdk import CallRecord, Generator, OptionError
from gpt2sdk_batch.errors import BatchError

_OWN: Final = ("batch_size", "seed")
_USUAL_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the lines of a run are generated; it pickles, so that other processes do the same.

    Attributes:
        options: Options of all lines, as `generate` takes them.
        config: A preset of them, as data.
        seed: What the lines' seeds are made of.
        batch_size: Rows at a time.
        chat_template: What writes chats; the model's own by default.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = _USUAL_BATCH
    chat_template: str | None = None


def read_settings(
    options: Mapping[str, object],
    config: CallRecord | Mapping[str, object] | None,
    chat_template: str | None = None,
) -> RunSettings:
    """Take apart what the lines have in common, and what is the run's.

    Args:
        options: Options of all lines.
        config: A preset, or the record of a call, whose options are taken.
        chat_template: What writes chats.

    Raises:
        OptionError: The seed or the batch size is no whole number, or the record has parts that it
            cannot set.
    """
    preset = _options_of(config, options)
    own: dict[str, int] = {"seed": 0, "batch_size": _USUAL_BATCH}
    for name in _OWN:
        value = options.get(name, preset.get(name))
        if value is None:
            continue
        number = int(value) if isinstance(value, str) and value.strip("-").isdecimal() else value
        if type(number) is not int or (name == "batch_size" and number < 1):
            least = ", 1 or more" if name == "batch_size" else ": each line has one made of it"
            message = f"{name} is {value!r:.60}, expected a whole number{least}"
            raise OptionError(message, name=name, value=value)
        own[name] = number
    return RunSettings(
        {name: value for name, value in options.items() if name not in _OWN},
        {name: value for name, value in preset.items() if name not in _OWN},
        own["seed"],
        own["batch_size"],
        chat_template,
    )


def _options_of(
    config: CallRecord | Mapping[str, object] | None, options: Mapping[str, object]
) -> dict[str, object]:
    """Return the options of a preset or a record.

    Raises:
        OptionError: A record has objects that are not given beside it.
    """
    if config is None:
        return {}
    if isinstance(config, CallRecord):
        record = config
    elif isinstance(config.get("record"), Mapping) or isinstance(config.get("options"), Mapping):
        record = CallRecord.from_dict(config)
    else:
        return {name: value for name, value in config.items() if name != "versions"}
    lacking = [name for name in record.unrepeatable if name not in options]
    if lacking:
        message = f"the record cannot set {', '.join(lacking)}: give it beside the record"
        raise OptionError(message, name=lacking[0])
    if record.columns:
        message = f"the record has {record.columns[0]} for each prompt: give record.for_prompt(…)"
        raise OptionError(message, name="config")
    return {name: each for name, each in record.options.items() if name not in record.unrepeatable}


def facts_of(generator: Generator, settings: RunSettings) -> dict[str, object]:
    """Return what the results of a run depend on besides its lines, JSON-ready.

    Args:
        generator: What makes them.
        settings: What they have in common.

    Raises:
        OptionError: An option is wrong.
    """
    options: dict[str, Any] = {**settings.options, "seed": settings.seed}
    explained = generator.explain(config=settings.config or None, **options)
    in_force = dict(explained.composition.in_force)
    versions = in_force.pop("versions", {})
    for name in _OWN:
        in_force.pop(name, None)
    # Models that have runners say which one they have; others are modules of torch.
    runner = getattr(getattr(generator.model, "runner", None), "name", "torch")
    template = settings.chat_template
    facts = {
        "seed": settings.seed,
        "options": in_force,
        "components": [[each.role, each.name, dict(each.options)] for each in explained.components],
        "chat_template": template and _digest(template),
        "model": generator.model_identity,
        "runner": runner,
        "versions": versions,
    }
    found: dict[str, object] = json.loads(json.dumps(facts, default=repr))
    return found


def name_of(facts: Mapping[str, object]) -> str:
    """Return eight hexadecimal digits for facts; where the model lies does not count."""
    model = {**_mapping(facts["model"]), "name": ""}
    return _digest(json.dumps({**facts, "model": model}, sort_keys=True))[:8]


def disagreements(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Say in which facts two runs differ that makes their results different.

    Versions do not count, nor where the model lies.

    Args:
        before: The facts of the first.
        now: Those of the other.

    >>> usual = {"options": {"top_k": 5}, "model": {"name": "a"}, "runner": "native"}
    >>> disagreements(usual, {**usual, "options": {"top_k": 9}, "model": {"name": "b"}})
    ['top_k was 5 and is 9']
    """
    found = []
    for part in ("options", "model"):
        old, new = _mapping(before.get(part)), _mapping(now.get(part))
        names = [name for name in {**old, **new} if (part, name) != ("model", "name")]
        what = "the model's " if part == "model" else ""
        found += [_change(f"{what}{name}", old.get(name), new.get(name)) for name in names]
    rest = {**before, **now}.keys() - {"options", "model", "versions", "components"}
    found += [_change(name, before.get(name), now.get(name)) for name in sorted(rest)]
    changes = [each for each in found if each]
    if not changes and before.get("components") != now.get("components"):
        changes.append("a component has other options")
    return changes


def check_same(before: Mapping[str, object], now: Mapping[str, object], who: str) -> None:
    """Make sure that two of those who do lines make the same of them; what they ran has one name.

    Args:
        before: The facts of the first; empty where there is none.
        now: Those of the other.
        who: What they are called.

    Raises:
        BatchError: They do not.

    >>> usual = {"options": {}, "model": {"name": "a"}, "runner": "native", "versions": {}}
    >>> check_same(usual, {**usual, "runner": "torch"}, "actors")
    Traceback (most recent call last):
    gpt2sdk_batch.errors.BatchError: actors of one run disagree: runner was 'native' and is 'torch'
    """
    if not before or name_of(before) == name_of(now):
        return
    changes = disagreements(before, now) or ["they have other versions of packages"]
    raise BatchError(f"{who} of one run disagree: {'; '.join(changes)}")


def _change(name: str, old: object, new: object) -> str:
    return "" if old == new else f"{name} was {old!r:.60} and is {new!r:.60}"


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
