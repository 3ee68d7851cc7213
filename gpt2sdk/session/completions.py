"""Completions: what strategies hand in, and the best of it."""

from collections.abc import Iterable
from dataclasses import replace

from gpt2sdk.components.records import Completion, Prompt


class Completions:
    """Keeps each prompt's best completions by score, and the order they are returned in."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._submitted: dict[int, list[Completion]] = {}

    def submit(self, completion: Completion, score: float) -> None:
        """Take a completion in if it is among its prompt's best; on ties the earlier one stays."""
        best = self._submitted.setdefault(completion.prompt_index, [])
        best.append(replace(completion, score=score))
        best.sort(key=_descending)
        del best[self._wanted :]

    def of(self, prompt_index: int) -> list[Completion]:
        """What was submitted for a prompt, best first and numbered."""
        return number(self._submitted.get(prompt_index, ()))


def number(completions: Iterable[Completion]) -> list[Completion]:
    """Give completions of one prompt their sample index, in this order."""
    return [replace(each, sample_index=index) for index, each in enumerate(completions)]


def untouched(prompt: Prompt, lane: int, *, logprobs: bool) -> Completion:
    """The completion of a row that never began, since its call was ended before."""
    none = () if logprobs else None
    return Completion("", (), prompt.index, lane, "cancelled", logprobs=none)


def _descending(completion: Completion) -> float:
    return -(completion.score or 0.0)
