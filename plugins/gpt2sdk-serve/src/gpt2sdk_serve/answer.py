"""What all answers have: who they are, what they cost, and how to have them again."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gpt2sdk import Completion, Result
from gpt2sdk_serve.job import Job
from gpt2sdk_serve.reading import plain


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


def extension(job: Job, result: Result, *, record: bool) -> dict[str, Any]:
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


def of_completion(job: Job, completion: Completion) -> dict[str, Any]:
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
