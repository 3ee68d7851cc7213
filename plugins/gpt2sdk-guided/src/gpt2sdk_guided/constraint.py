"""Constraints: what the text of a row may be, token by token."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int
from llguidance import LLMatcher, LLParserLimits
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OneOrMore,
    OptionError,
    PerRow,
    Prompt,
    Rows,
    Session,
    Shared,
    Stage,
    StoppingCriterion,
)
from gpt2sdk_guided.lead import TriggerLead
from gpt2sdk_guided.vocabularies import SpelledWords, words_of

Trigger = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    OneOrMore,
    Shared(),
    Field(description="Texts behind which the constraint begins; none for the first token."),
]
"""What a constraint that waits is waiting for."""

LIMITS = LLParserLimits(
    max_items_in_row=2_000,
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=200_000,
    verbose_errors=False,
)
"""What a constraint may take of time and memory: some milliseconds a step, tens of megabytes."""

MOST_CHARACTERS = 200_000
"""Longest source of a constraint."""


class Constraint(LogitsProcessor, StoppingCriterion):
    """What the text of a row may be: base of the components of this distribution.

    Of a constraint's automaton, llguidance (Moskal et al., Microsoft, github.com/guidance-ai)
    computes for each step which tokens some text that fits goes on with: tokens are checked byte
    by byte along a trie of the vocabulary, so that one may span several words of a grammar. What
    is left is renormalised, not the distribution of texts that fit: those that a constraint leaves
    few ways to are likelier than the model finds them (`awrs` and `smc` weigh that).
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 95
    reason: ClassVar[str] = "constraint_complete"
    forces: ClassVar[bool] = True
    alone: ClassVar[str] = "says the form of the whole text"

    @abstractmethod
    def source(self) -> str:
        """Return the constraint as llguidance reads it."""

    @property
    @abstractmethod
    def triggers(self) -> tuple[str, ...]:
        """Texts behind which it begins."""

    @override
    def check_prompt(self, prompt: Prompt) -> None:
        if prompt.cut and self.is_on():
            raise OptionError(
                f"{self.name} begins behind the prompt, whose end token_healing takes anew: give "
                "one of them",
                name=self.name,
            )

    @override
    def start(self, session: Session) -> "ConstraintRun":
        words = words_of(session.vocabulary, session.model.vocab_size)
        if not self.is_on():
            return ConstraintRun(None, words, None, None)
        fresh = self._matcher(words)
        triggers = [each.encode() for each in self.triggers]
        lead = TriggerLead(triggers, words, fresh) if triggers else None
        first = GuidedPlace("lead") if lead else _placed(fresh, words.size)
        run = ConstraintRun(fresh, words, lead, None)
        places = session.per_row(lambda _: first, run.accept)
        return replace(run, places=places)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits

    def _matcher(self, words: SpelledWords) -> LLMatcher:
        source = self.source()
        matcher = LLMatcher(words.library, source, log_level=0, limits=LIMITS)
        if matcher.is_error():
            said = _plain(matcher.get_error())
            switch = self.switch() or self.name
            raise OptionError(
                f"{switch} is none that can be followed: {said:.500}",
                name=switch,
                value=getattr(self, switch),
            )
        return matcher


def _plain(error: str) -> str:
    r"""What llguidance says is wrong, without the source that it was given.

    >>> _plain('at 1(8): invalid regex "(?:a()" (in regex): regex parse error:\nerror: unclosed')
    'unclosed'
    """
    lines = error.replace("<non-verbose/>", "").strip().splitlines()
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return own[0] if own else lines[0] if lines else "it is too complex"


@dataclass(frozen=True, slots=True)
class GuidedPlace:
    """Where a row is.

    Attributes:
        phase: Before the constraint, under it, at its end, or off it by a strategy's doing.
        kept: Before it: what may have begun a trigger.
        matcher: Under it: what may follow. Never changed: a token makes a copy.
        forced: Tokens that come next whatever the model says.
    """

    phase: Literal["lead", "inside", "complete", "broken"]
    kept: bytes = b""
    matcher: LLMatcher | None = None
    forced: tuple[int, ...] = ()


def _placed(matcher: LLMatcher, size: int) -> GuidedPlace:
    """The place of a matcher that has read all that is there.

    Args:
        matcher: It.
        size: How many tokens there are.
    """
    if matcher.is_error():
        raise RuntimeError(f"the constraint got too complex: {_plain(matcher.get_error()):.300}")
    if matcher.is_stopped():
        return GuidedPlace("complete", matcher=matcher)
    # A byte that no token spells by itself stands for the tokens that begin with it.
    forced = tuple(takewhile(lambda token: token < size, matcher.compute_ff_tokens()))
    if forced and matcher.validate_tokens(list(forced)) < len(forced):
        forced = ()
    return GuidedPlace("inside", matcher=matcher, forced=forced)


@dataclass(frozen=True)
class ConstraintRun:
    """A constraint at work in one session."""

    fresh: LLMatcher | None
    words: SpelledWords
    lead: TriggerLead | None
    places: PerRow[GuidedPlace] | None

    def accept(self, place: GuidedPlace, token: int, _: object) -> GuidedPlace:  # noqa: PLR0911 - a phase each
        """The place behind a token."""
        if place.phase == "lead" and self.lead is not None and self.fresh is not None:
            kept, rest = self.lead.go_on(place.kept, token)
            if rest is None:
                return GuidedPlace("lead", kept)
            return self._consumed(self.fresh, self.words(rest))
        if place.phase != "inside" or place.matcher is None:
            return place
        if place.forced[:1] == (token,):
            matcher = place.matcher.deep_copy()
            matcher.consume_token(token)
            rest_forced = place.forced[1:]
            if rest_forced:
                return GuidedPlace("inside", matcher=matcher, forced=rest_forced)
            return _placed(matcher, self.words.size)
        return self._consumed(place.matcher, [token])

    def _consumed(self, before: LLMatcher, tokens: Sequence[int]) -> GuidedPlace:
        matcher = before.deep_copy()
        if matcher.try_consume_tokens(list(tokens)) < len(tokens):
            return GuidedPlace("broken")
        return _placed(matcher, self.words.size)

    def forced(self, rows: Rows) -> Sequence[Sequence[int]]:
        """The tokens that a constraint leaves no choice about."""
        return [()] * len(rows) if self.places is None else [p.forced for p in self.places[rows]]

    def check(self, rows: Rows) -> list[str | None]:
        """Which rows are complete, and which are cut where they are not."""
        if self.places is None:
            return [None] * len(rows)
        return [
            _reason(place, cut=row.grown >= row.prompt.max_new_tokens)
            for place, row in zip(self.places[rows], rows.records, strict=True)
        ]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Rule out what may not come next."""
        if self.places is None:
            return logits
        places = self.places[rows]
        if all(place.phase == "lead" and not self._refused(place) for place in places):
            return logits
        first = [place.forced[0] if place.forced else -1 for place in places]
        alone = [-1] * len(rows)
        if logits.device.type == "cpu":
            # What another processor ruled out cannot be forced: other spellings may do.
            alone = [
                at if at >= 0 and bool(row[at] > -torch.inf) else -1
                for at, row in zip(first, logits, strict=True)
            ]
        out = self._refusals(places, rows, alone, logits.shape[1])
        refused = torch.from_numpy(out.view(np.bool_)).to(logits.device)
        if logits.device.type != "cpu" and max(first) >= 0:
            refused = _narrowed(refused, torch.tensor(first, device=logits.device), logits)
        return logits.masked_fill(refused, -torch.inf)

    def _refusals(
        self, places: Sequence[GuidedPlace], rows: Rows, alone: Sequence[int], size: int
    ) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
        """Return 1 where a token may not come: a line for each row.

        Args:
            places: Where the rows are.
            rows: The rows.
            alone: The one token that each may take; -1 where the constraint is to be asked.
            size: How many tokens there are.
        """
        bits = np.full((len(places), -(-len(self.words.tokens) // 32)), -1, dtype=np.int32)
        for at, place in enumerate(places):
            if place.phase == "inside" and place.matcher is not None and alone[at] < 0:
                _fill(bits[at], place.matcher)
        # All rows at once, and inverted while they are bits: eight times fewer bytes.
        out = np.unpackbits((~bits).view(np.uint8), axis=1, bitorder="little", count=size)
        for at, (place, row) in enumerate(zip(places, rows.records, strict=True)):
            if place.phase == "lead":
                out[at, self._refused(place)] = 1
            elif alone[at] >= 0:
                out[at] = 1
                out[at, alone[at]] = 0
            elif place.matcher is not None:
                # A criterion ends what is complete; as a potential there is none that does.
                out[at] |= place.phase == "complete"
                ends = [token for token in row.prompt.eos_token_ids if token < size]
                out[at, ends] = not place.matcher.is_accepting()
        return out

    def _refused(self, place: GuidedPlace) -> list[int]:
        return [] if self.lead is None else self.lead.refused(place.kept)


def _fill(bits: "np.ndarray[tuple[int], np.dtype[np.int32]]", matcher: LLMatcher) -> None:
    """Write which tokens may follow as a bit of each."""
    matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
    if matcher.is_error():
        raise RuntimeError(f"the constraint got too complex: {_plain(matcher.get_error()):.300}")


def _narrowed(
    refused: Bool[Tensor, "rows vocab"], first: Int[Tensor, "rows"], logits: Logits
) -> Bool[Tensor, "rows vocab"]:
    """Refuse all but the token that is forced, where it is and was not ruled out; never waits."""
    at = first.clamp(min=0)[:, None]
    sure = (first >= 0)[:, None] & (logits.gather(1, at) > -torch.inf)
    others = torch.ones_like(refused).scatter(1, at, value=False)
    return torch.where(sure, others, refused)


def _reason(place: GuidedPlace, *, cut: bool) -> str | None:
    if place.phase == "complete":
        return "constraint_complete"
    if place.phase == "broken":
        return "constraint_incomplete"
    unfinished = place.matcher is not None and not place.matcher.is_accepting()
    return "constraint_incomplete" if cut and unfinished else None
