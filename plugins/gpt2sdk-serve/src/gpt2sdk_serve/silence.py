"""Prompts that are judged and not continued: `max_tokens: 0` with `echo`."""

from dataclasses import replace

from gpt2sdk import Completion, Delta, Result


def without_text(result: Result) -> Result:
    """Return a result whose completions are empty; one token each was written for it.

    >>> without_text(Result((Completion(" a", (3,), 0, 0, "end_token"),))).completions[0].text
    ''
    """
    usage = replace(result.usage, new_tokens=0)
    return replace(result, completions=tuple(map(_empty, result.completions)), usage=usage)


def silent(delta: Delta) -> Delta:
    """Return a row's last delta, with nothing in it."""
    completion = None if delta.completion is None else _empty(delta.completion)
    said = () if delta.logprobs is None else delta.logprobs
    return replace(
        delta,
        text="",
        tokens=(),
        completion=completion,
        finish_reason="length",
        logprobs=said[:0],
        top_logprobs=(),
    )


def _empty(completion: Completion) -> Completion:
    return replace(
        completion, text="", tokens=(), finish_reason="length", logprobs=(), top_logprobs=()
    )
