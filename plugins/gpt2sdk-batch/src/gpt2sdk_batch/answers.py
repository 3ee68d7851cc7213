"""What comes out: a line of JSON for each line that came in."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpt2sdk import Completion, Decision
from gpt2sdk_batch.tasks import LineTask


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """The result of one line.

    Attributes:
        index: The line's number.
        text: The result as JSON, without a line break.
        tokens: How many tokens were written.
        wrong: Whether it is an error.
    """

    index: int
    text: bytes
    tokens: int = 0
    wrong: bool = False


def completed(
    task: LineTask,
    completions: Sequence[Completion],
    prompt_tokens: int,
    options: Mapping[str, object],
    ran: str,
) -> LineAnswer:
    """Return the result of a line that was continued.

    Args:
        task: The line.
        completions: What it became, best or first at the beginning.
        prompt_tokens: How many tokens its prompt has.
        options: What was in force for it and not for all.
        ran: The name of what made it.
    """
    tokens = sum(len(each.tokens) for each in completions)
    fields = {
        "text": completions[0].text if completions else "",
        "completions": [_completion(each) for each in completions],
        "usage": {"prompt_tokens": prompt_tokens, "new_tokens": tokens},
        "options": dict(options),
    }
    return LineAnswer(task.index, _line(task, fields, ran), tokens)


def decided(task: LineTask, decision: Decision, ran: str) -> LineAnswer:
    """Return the result of a line that was a choice."""
    choice = {
        "best": decision.best,
        "index": decision.index,
        "choices": list(decision.options),
        "probabilities": list(decision.probabilities),
        "logprobs": list(decision.logprobs),
        "tokens": list(decision.token_counts),
        "normalization": decision.normalization,
    }
    return LineAnswer(task.index, _line(task, {"text": decision.best, "choice": choice}, ran))


def failed(task: LineTask, error: Exception, ran: str) -> LineAnswer:
    """Return the result of a line that is wrong."""
    said = {"type": type(error).__name__, "message": _of_one(str(error))}
    return LineAnswer(task.index, _line(task, {"error": said}, ran), wrong=True)


def _line(task: LineTask, fields: Mapping[str, object], ran: str) -> bytes:
    found = {"id": task.id, "index": task.index, **fields, "run": ran}
    try:
        return json.dumps(
            found, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
        ).encode()
    except ValueError:
        # A number that JSON has not, or half a character in an id.
        return json.dumps(_finite(found), allow_nan=False, separators=(",", ":")).encode()


def _completion(completion: Completion) -> dict[str, object]:
    """Return what a completion says, without what it does not have."""
    found: dict[str, object] = {
        "text": completion.text,
        "tokens": list(completion.tokens),
        "finish_reason": completion.finish_reason,
    }
    for name in ("score", "logprobs", "processed_logprobs", "support", "top_logprobs", "parsed"):
        value = getattr(completion, name)
        if value is not None:
            found[name] = value
    return found


def _plain(value: Any) -> object:  # noqa: ANN401 - whatever a schema made
    """Return an object that came of a schema as data; what has no data, as it is written."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return asdict(value) if hasattr(value, "__dataclass_fields__") else repr(value)


def _finite(value: object) -> object:
    """Return a value with `None` for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if value is None or isinstance(value, str | int | bool):
        return value
    return _finite(_plain(value))


def _of_one(message: str) -> str:
    """Return a message about the only prompt of a call, which has no number here.

    >>> _of_one("prompt 0, step 3: broken"), _of_one("prompt 0 has 9 tokens")
    ('step 3: broken', 'the prompt has 9 tokens')
    """
    return re.sub(r"\bprompt 0\b", "the prompt", re.sub(r"^prompt 0, ", "", message))
