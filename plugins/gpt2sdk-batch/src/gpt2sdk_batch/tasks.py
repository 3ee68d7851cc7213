"""A line of a batch: a prompt, a chat or a choice, with the options it has for itself."""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gpt2sdk import OptionError
from gpt2sdk_batch.seeds import LineId

FIELDS = ("id", "prompt", "messages", "choices", "normalization", "options")
"""What a line may have."""

EVERYTHING = "*"
"""Among the fields to be passed over: all that are none of a line's."""


@dataclass(frozen=True, slots=True)
class LineTask:
    """What one line asks for.

    Attributes:
        index: Its number, from 0.
        id: What it is called; its number where it says nothing.
        prompt: A text or token ids; `None` where there are messages.
        messages: The turns of a chat so far; `None` where there is a prompt.
        choices: The texts or token ids among which one is chosen; `None` to generate.
        normalization: By what choices are compared.
        options: Options of this line, as data; an object, or one as JSON.
    """

    index: int
    id: LineId
    prompt: object = None
    messages: object = None
    choices: object = None
    normalization: str = "sum"
    options: Mapping[str, object] = field(default_factory=dict)


def read_task(index: int, record: object, ignored: Collection[str] = ()) -> LineTask:
    """Read a line.

    Args:
        index: Its number, from 0.
        record: What it holds: a dictionary. A field that is `None` is not there.
        ignored: Fields that are passed over; "*" for all that a line has not.

    Raises:
        OptionError: It is no dictionary, has no prompt or two, a field that nothing reads, or one
            of another kind than expected. The message begins with the line's number from 1.

    >>> task = read_task(4, {"prompt": "Once"})
    >>> task.id, task.prompt, task.choices
    (4, 'Once', None)
    """
    if not isinstance(record, Mapping):
        raise _wrong(index, f"is {record!r:.60}, expected an object such as {_EXAMPLE}", record)
    fields = {name: value for name, value in record.items() if value is not None}
    for name in fields:
        if name not in FIELDS and name not in ignored and EVERYTHING not in ignored:
            raise _wrong(index, _unread(str(name)), name)
    if ("prompt" in fields) == ("messages" in fields):
        has = "both prompt and messages" if "prompt" in fields else "no prompt"
        raise _wrong(index, f"has {has}: expected one of them, as in {_EXAMPLE}", record)
    normalization = fields.get("normalization", "sum")
    options = _options(index, fields.get("options", {}))
    if not isinstance(normalization, str):
        message = f"has {normalization!r:.60} as normalization, expected a name"
        raise _wrong(index, message, normalization)
    return LineTask(
        index,
        read_id(index, fields.get("id", index)),
        fields.get("prompt"),
        fields.get("messages"),
        fields.get("choices"),
        normalization,
        options,
    )


def read_id(index: int, value: object) -> LineId:
    """Return the id of a line.

    Raises:
        OptionError: It is neither a text nor a whole number.
    """
    if isinstance(value, str) or type(value) is int:
        return value
    raise _wrong(index, f"has the id {value!r:.60}, expected a text or a whole number", value)


def _options(index: int, value: object) -> dict[str, object]:
    """Return the options of a line; one that is `None` leaves the run's out.

    Raises:
        OptionError: They are no object, nor one as JSON.
    """
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except ValueError:
            found = value
    if not isinstance(found, Mapping):
        hint = ": what is chosen among is called choices" if _is_list(found) else ""
        kind = f"has {value!r:.60} as options, expected an object of options"
        raise _wrong(index, f"{kind}{hint}", value)
    return {str(name): each for name, each in found.items()}


_EXAMPLE = '{"id": "a", "prompt": "Once"}'


def _wrong(index: int, what: str, value: object) -> OptionError:
    return OptionError(f"line {index + 1} {what}", name="source", value=value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _unread(name: str) -> str:
    """Say that nothing reads a field, and what to do."""
    near = difflib.get_close_matches(name, FIELDS, 1, 0.7)
    hint = f"did you mean {near[0]}?" if near else "options of a line stand under options, and"
    rest = "" if near else f" what is to be passed over is named: ignore {name!r} (--ignore {name})"
    return f"has the field {name!r:.60}, which nothing reads: {hint}{rest}"
