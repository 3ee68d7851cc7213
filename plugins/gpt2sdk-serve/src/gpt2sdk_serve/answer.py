"""What all answers have: who they are, what they cost, and how to have them again."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gpt2sdk import Completion, Result
from gpt2sdk_serve.fields import StreamFields, TextFields
from gpt2sdk_serve.reading import plain
from gpt2sdk_serve.text_job import TextJob


@dataclass(frozen=True, slots=True)
class Frame:
    """What each part of an answer has.

    Attributes:
        kind: What it is called in `object`.
        prefix: How its id begins.
        model: The name that the model was asked for by.
        fingerprint: What the answer depends on besides the request.
        id: Its id.
        created: When it was begun, in seconds since 1970.
    """

    kind: str
    prefix: str
    model: str
    fingerprint: str
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def of(self, choices: Sequence[dict[str, Any]], **more: object) -> dict[str, Any]:
        """Return a part of the answer."""
        return {
            "id": f"{self.prefix}-{self.id}",
            "object": self.kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": list(choices),
            **more,
        }


def usage_of(prompt_tokens: int, new_tokens: int) -> dict[str, int]:
    """Return what an answer cost, as OpenAI counts it.

    >>> usage_of(4, 6)
    {'prompt_tokens': 4, 'completion_tokens': 6, 'total_tokens': 10}
    """
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": new_tokens,
        "total_tokens": prompt_tokens + new_tokens,
    }


def extension(job: TextJob, result: Result, *, record: bool) -> dict[str, Any]:
    """Return what is ours in an answer.

    Args:
        job: The request.
        result: What was made.
        record: Whether the record of the call is wanted.
    """
    usage = result.usage
    said: dict[str, Any] = {
        "seed": job.options.seed,
        "usage": {
            "model_calls": usage.model_calls,
            "tokens_fed": usage.tokens_fed,
            "drafted": usage.drafted,
            "accepted": usage.accepted,
            "seconds": round(usage.seconds, 6),
        },
    }
    if result.notes:
        said["notes"] = list(result.notes)
    if record and result.record is not None:
        said["record"] = result.record.as_dict()
    return said


def of_completion(job: TextJob, completion: Completion) -> dict[str, Any]:
    """Return what is ours of a completion.

    Args:
        job: The request.
        completion: What was made of it.
    """
    reason = completion.finish_reason
    if reason == "cancelled" and job.ended_by is not None:
        reason = job.ended_by
    said: dict[str, Any] = {"finish_reason": reason}
    if completion.score is not None:
        said["score"] = plain(completion.score)
    return said


class TextAnswer:
    """Writes what a request for text is answered with: what both endpoints have in common."""

    def __init__(self, frame: Frame, fields: TextFields, job: TextJob) -> None:
        """Take what it is made of.

        Args:
            frame: What all its parts have.
            fields: The request.
            job: The request on its way.
        """
        self._frame = frame
        self._job = job
        self._sent = 0
        # Who stops a stream has no last chunk to read it from.
        self._first: dict[str, Any] = {"gpt2sdk": {"seed": job.options.seed}}
        self._with_ids = bool(fields.return_token_ids)
        self._with_record = bool(fields.return_record)
        asked = fields.stream_options or StreamFields()
        self._with_usage = bool(asked.include_usage)
        self._counts = bool(asked.include_usage and asked.continuous_usage_stats)

    @property
    def has_last_chunk(self) -> bool:
        """Whether a chunk without choices is asked for."""
        return self._with_usage or self._with_record

    def last_chunk(self, result: Result) -> dict[str, Any]:
        """Return the chunk without choices, which has the usage of all."""
        return self._of_all([], result)

    def _of_all(self, choices: Sequence[dict[str, Any]], result: Result) -> dict[str, Any]:
        """Return what has the usage of the whole request, and what is ours."""
        usage = usage_of(self._job.prompts.count, result.usage.new_tokens)
        more = extension(self._job, result, record=self._with_record)
        return self._frame.of(choices, usage=usage, gpt2sdk=more)

    def _chunk(self, choice: dict[str, Any], tokens: int) -> dict[str, Any]:
        """Return a chunk with one choice.

        Args:
            choice: The choice.
            tokens: How many tokens it brings.
        """
        self._sent += tokens
        more, self._first = self._first, {}
        if not self._with_usage:
            return self._frame.of([choice], **more)
        usage = usage_of(self._job.prompts.count, self._sent) if self._counts else None
        return self._frame.of([choice], usage=usage, **more)
