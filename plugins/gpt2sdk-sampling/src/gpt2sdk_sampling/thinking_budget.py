"""Thinking budget: after so many tokens of a passage, what ends it is forced."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OptionError,
    PerRow,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
    TextOrIds,
    tokens_of,
)
from gpt2sdk_sampling.aho_corasick import AhoCorasick
from gpt2sdk_sampling.spelling import Spelling


def _several(ends: object) -> object:
    """A single text, or the ids of a single sequence."""
    alone = isinstance(ends, str) or (
        isinstance(ends, tuple) and any(type(token) is int for token in ends)
    )
    return (ends,) if alone else ends


class ThinkingBudget(LogitsProcessor):
    r"""Ends a passage after a budget of tokens: it forces a message, and the tag that ends it.

    The passage begins behind `thinking_budget_start`, in the prompt or in new text, and each time
    that this is written; without it, it is the completion from its first token on. It ends where
    one of `thinking_budget_end` is written, and nothing is forced then. Once it has
    `thinking_budget` tokens, a row is given those of `thinking_budget_message` and then those of
    the first end, one after another, whatever else is likely; behind them it goes on freely.

    Tags are found in the text, however they are cut into tokens; special tokens in them are the
    tokens they name. A budget of 0 ends the passage where it begins. Tokens of the prompt behind
    the start count, as in vLLM. What was ruled out before stays so, and forced tokens keep their
    logits, so that a beam's score has them.

    vLLM's `thinking_token_budget`, sglang's `ThinkingBudgetLogitProcessor` (whose line break
    before the tag is the message `"\n"` here) and llama.cpp's `reasoning_budget_message` are such
    budgets, each for one pair of tags.

    Raises:
        OptionError: There is nothing to force, or an id is not smaller than the vocabulary.

    Example:
        A passage of 2 tokens, which token 2 (the letter c) ends: forced in the second row, no
        longer needed in the third.

        >>> from gpt2sdk.testing import make_rows, process
        >>> budget = ThinkingBudget(thinking_budget=2, thinking_budget_end="c")
        >>> rows = make_rows([[0, 1], [0, 1, 1], [0, 2, 1]], prompt_lengths=[1, 1, 1])
        >>> process(budget, [[1.0, 2.0, 3.0]] * 3, rows).tolist()
        [[1.0, 2.0, 3.0], [-inf, -inf, 3.0], [1.0, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 90

    thinking_budget: Annotated[
        int | None, Field(ge=0, description="Most tokens of the passage; None is off.")
    ] = None
    thinking_budget_start: Annotated[
        TextOrIds | None,
        Field(description="Text or ids behind which it begins; None for the completion's start."),
    ] = None
    thinking_budget_message: Annotated[
        TextOrIds | None, Field(description="Text or ids that are said first where it is over.")
    ] = None
    thinking_budget_end: Annotated[
        tuple[TextOrIds, ...],
        BeforeValidator(_several),
        Field(
            description="Texts or ids that end it; the first is said where it is over.",
            examples=[("n",)],
        ),
    ] = ("</think>",)

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.thinking_budget is None:
            return self
        budget = _Budget.of(self, self.thinking_budget, session)
        places = session.per_row(budget.begin, lambda place, token, _: budget.accept(place, token))
        return _Run(budget.forced, places)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


@dataclass(frozen=True, slots=True)
class _Passage:
    """Where a row is.

    Attributes:
        phase: Before a passage, in it, being led out of it, or done with all.
        state: How much of a start, or of an end, stands at the row's end.
        count: Tokens of the passage, or how many of the forced ones were said.
    """

    phase: Literal["before", "inside", "forced", "done"]
    state: int = 0
    count: int = 0


@dataclass(frozen=True)
class _Budget:
    """What moves rows from place to place.

    Attributes:
        limit: The budget.
        forced: The tokens that are forced.
        starts: Finds the start; `None` where the passage is the completion.
        ends: Finds the ends.
        spelling: How tokens are spelled.
    """

    limit: int
    forced: tuple[int, ...]
    starts: AhoCorasick | None
    ends: AhoCorasick
    spelling: Spelling

    @classmethod
    def of(cls, options: ThinkingBudget, limit: int, session: Session) -> "_Budget":
        message, ends = options.thinking_budget_message, options.thinking_budget_end
        forced = tuple(
            token
            for name, each in (("message", message), ("end", next(iter(ends), None)))
            if each is not None
            for token in tokens_of(each, session, f"thinking_budget_{name}")
        )
        if not forced:
            raise OptionError(
                "thinking_budget has nothing to force: expected thinking_budget_end, or "
                "thinking_budget_message",
                name="thinking_budget_end",
                value=ends,
            )
        spelling = Spelling(session.vocabulary)
        start = options.thinking_budget_start
        return cls(
            limit,
            forced,
            None if start is None else AhoCorasick([spelling.of(start)]),
            AhoCorasick([spelling.of(each) for each in ends]),
            spelling,
        )

    def begin(self, prompt: Prompt) -> _Passage:
        """The place of a fresh row."""
        if self.starts is None:
            return self._due(_Passage("inside"))
        place = _Passage("before")
        for token in prompt.tokens:
            place = self._read(place, token)
        return self._due(place)

    def accept(self, place: _Passage, token: int) -> _Passage:
        """The place behind a token."""
        if place.phase != "forced":
            return self._due(self._read(place, token))
        # A strategy may say something else: then the same token is due again.
        count = place.count + (token == self.forced[place.count])
        return self._out() if count == len(self.forced) else replace(place, count=count)

    def _read(self, place: _Passage, token: int) -> _Passage:
        if place.phase == "before" and self.starts is not None:
            state, found = self.starts.walk(place.state, self.spelling[token])
            return _Passage("inside") if found else _Passage("before", state)
        if place.phase == "inside":
            state, found = self.ends.walk(place.state, self.spelling[token])
            return self._out() if found else _Passage("inside", state, place.count + 1)
        return place

    def _due(self, place: _Passage) -> _Passage:
        spent = place.phase == "inside" and place.count >= self.limit
        return _Passage("forced") if spent else place

    def _out(self) -> _Passage:
        return _Passage("done" if self.starts is None else "before")


@dataclass(frozen=True)
class _Run:
    """The forced tokens, and where each row is."""

    forced: tuple[int, ...]
    places: PerRow[_Passage]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        due = [
            (row, self.forced[place.count])
            for row, place in enumerate(self.places[rows])
            if place.phase == "forced"
        ]
        if not due:
            return logits
        where = torch.tensor(due, dtype=torch.int64, device=logits.device).unbind(1)
        forced = torch.full_like(logits, -torch.inf).index_put(where, logits[where])
        held = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        return torch.where(held.index_fill(0, where[0], 1)[:, None], forced, logits)
