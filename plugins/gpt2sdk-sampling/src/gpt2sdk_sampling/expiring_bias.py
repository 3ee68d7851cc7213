"""Expiring bias: phrases are made likelier or less likely at a row's beginning only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OneOrMore,
    PerRow,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
)
from gpt2sdk_sampling.aho_corasick import AhoCorasick
from gpt2sdk_sampling.phrase_bias import Phrase
from gpt2sdk_sampling.phrase_table import Mode, PhraseTable
from gpt2sdk_sampling.spelling import Spelling


class ExpiringBias(LogitsProcessor):
    """Adds to the logits what `phrase_bias` adds, for a row's first tokens.

    Each entry is a phrase, a bias and a duration of `d` tokens: the phrase may begin in the first
    `d` new tokens, and one that began there goes on to be led to its end. Where one of the exit
    words has been written, in new text, all biases end at once.

    This is how a row is started in the right direction, as by
    `[(" Certainly", -5.0, 1)]`, without another distribution for the rest of it.

    After ik_llama.cpp's expiring logit bias (pull request 1731, 2026), in whose sets of biases
    one comes after another; there a phrase is one way to cut it, with a bias for each token.

    Example:
        The phrase `ab` may begin in the first new token. The row `c` has none yet, `c a` is in
        the middle of it, and in `c c` its time is over.

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[2], [2, 0], [2, 2]], prompt_lengths=[1, 1, 1])
        >>> bias = ExpiringBias(expiring_bias=[("ab", 6.0, 1)])
        >>> process(bias, [[0.0, 0.0, 0.0]] * 3, rows).tolist()
        [[3.0, 0.0, 0.0], [-3.0, 3.0, -3.0], [0.0, 0.0, 0.0]]
    """

    stage: ClassVar[Stage] = Stage.BIAS
    rank: ClassVar[int] = 50

    expiring_bias: Annotated[
        tuple[tuple[Phrase, float, Annotated[int, Field(ge=1)]], ...],
        Field(
            description="Texts, each with its bias in nats and for how many new tokens.",
            examples=[(("dog", 4.0, 5),)],
        ),
    ] = ()
    expiring_bias_exit_words: Annotated[
        tuple[Phrase, ...],
        OneOrMore,
        Field(description="Texts behind which all biases end."),
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        spelling = Spelling(session.vocabulary)
        durations = sorted({duration for _, _, duration in self.expiring_bias})
        tables = [
            PhraseTable(
                [(text, bias) for text, bias, each in self.expiring_bias if each == duration],
                spelling,
                session,
            )
            for duration in durations
        ]
        exits = AhoCorasick([spelling.of(text) for text in self.expiring_bias_exit_words])

        def begin(prompt: Prompt) -> _Standing:
            return _Standing(tuple(table.read(0, prompt.tokens) for table in tables))

        def accept(place: _Standing, token: int, _: object) -> _Standing:
            leaving, found = exits.walk(place.leaving, spelling[token])
            grown = place.grown + 1
            if found or place.over:
                return _Standing((0,) * len(tables), grown, leaving, over=True)
            states = tuple(
                table.read(state, [token]) if grown <= duration else table.carry_on(state, token)
                for table, duration, state in zip(tables, durations, place.states, strict=True)
            )
            return _Standing(states, grown, leaving)

        return _Run(tables, durations, session.per_row(begin, accept))


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a row is.

    Attributes:
        states: In the phrases of each duration.
        grown: How many new tokens it has.
        leaving: In the exit words.
        over: Whether one of them was written.
    """

    states: tuple[int, ...]
    grown: int = 0
    leaving: int = 0
    over: bool = False


@dataclass(frozen=True)
class _Run:
    """The phrases by duration, and where each row is in them."""

    tables: Sequence[PhraseTable]
    durations: Sequence[int]
    places: PerRow[_Standing]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        nothing = torch.zeros(logits.shape[1], dtype=logits.dtype, device=logits.device)
        biases = [
            sum(
                (
                    table.bias(state, _mode(place.grown, duration))
                    for table, duration, state in zip(
                        self.tables, self.durations, place.states, strict=True
                    )
                    if not place.over and (state or place.grown < duration)
                ),
                nothing,
            )
            for place in self.places[rows]
        ]
        return logits + torch.stack(biases)


def _mode(grown: int, duration: int) -> Mode:
    """What phrases of a duration do in the token behind so many new ones."""
    if grown < duration:
        return "begin"
    return "last beginnings" if grown == duration else "go on"
