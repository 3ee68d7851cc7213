"""Phrase bias: texts are made likelier or less likely, however they are cut into tokens."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, PerRow, ProcessorRun, Rows, Session, Stage
from gpt2sdk_sampling.phrase_table import PhraseTable
from gpt2sdk_sampling.spelling import Spelling

Phrase = Annotated[str, Field(min_length=1)]


class PhraseBias(LogitsProcessor):
    r"""Adds a number to the logits of tokens as far as they write a phrase.

    Each byte of a phrase of `n` bytes with a bias `b` above 0 is worth `b / n`: a token gets
    `b / n` for each byte by which it brings the phrase on, so a row is led into the phrase from
    its first letter. Where the row leaves the phrase again, all that was given in advance is taken
    back. With `b` below 0 nothing is taken in advance: the token that completes the phrase gets
    `b`, as the last token of a `sequence_bias` does, and words that begin alike are left alone.

    Hence the rule that defines it: over the tokens of a text the biases add up to `b` for each
    time that the phrase is in it, plus `b / n` for each byte of a beginning at its end (for `b`
    above 0), into whatever tokens the text is cut. Phrases may overlap, begin in the prompt, and
    begin and end inside tokens; a special token, which has no text, breaks a phrase off unless it
    is part of it. Biases of several phrases add up.

    A phrase begins wherever its first letter does: written with the blank before it, `" king"`
    leads to words only, and not to every token that ends in k.

    Written as a mapping from text to bias, kept as a tuple of pairs. llama.cpp's `logit_bias` of
    a text adds to all of its tokens, anywhere; that of transformers (`sequence_bias`) knows one
    way to cut it. Giving what a state is worth, less what the last one was, is potential-based
    shaping: Ng, Harada and Russell, "Policy invariance under reward transformations", 1999.

    Example:
        The phrase `ab` (tokens 0 and 1) behind `c` and behind `a`: half of it, then the other
        half, and what is given back by c, with which the row leaves it.

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows, flat = make_rows([[2], [0]]), [[0.0, 0.0, 0.0]] * 2
        >>> process(PhraseBias(phrase_bias={"ab": 6.0}), flat, rows).tolist()
        [[3.0, 0.0, 0.0], [0.0, 3.0, -3.0]]
        >>> process(PhraseBias(phrase_bias={"ab": -6.0}), flat, rows).tolist()
        [[0.0, 0.0, 0.0], [0.0, -6.0, 0.0]]
    """

    stage: ClassVar[Stage] = Stage.BIAS
    rank: ClassVar[int] = 40

    phrase_bias: Annotated[
        tuple[tuple[Phrase, float], ...],
        Field(description="Texts, and what writing each of them adds to the logits, in nats."),
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        table = PhraseTable(self.phrase_bias, Spelling(session.vocabulary), session)
        states = session.per_row(
            lambda prompt: table.read(0, prompt.tokens),
            lambda state, token, _: table.read(state, [token]),
        )
        return _Run(table, states)


@dataclass(frozen=True)
class _Run:
    """The phrases, and where each row is in them."""

    table: PhraseTable
    states: PerRow[int]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits + torch.stack([self.table.bias(state) for state in self.states[rows]])
