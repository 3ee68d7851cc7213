"""No n-grams of the prompt: a sequence of n tokens that the prompt has is not said again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, PerRow, ProcessorRun, Prompt, Rows, Session, Stage

Followers = Mapping[tuple[int, ...], tuple[int, ...]]
"""The tokens that follow each beginning of an n-gram."""


class EncoderNoRepeatNgramSize(LogitsProcessor):
    """Rules out every token that would complete an n-gram of the prompt.

    So a text goes its own way and may repeat itself, which `no_repeat_ngram_size` forbids as well.
    The name is transformers', where the prompt is the encoder's input if the model has one; what
    it does with the prompt of a model that has none is the same.

    The prompt is looked through once; a step takes time in the number of tokens ruled out.

    Example:
        The prompt has the pairs `0 1` and `1 2`; the output ends with 0, then with 2.

        >>> from gpt2sdk.testing import make_rows, process
        >>> pairs = EncoderNoRepeatNgramSize(encoder_no_repeat_ngram_size=2)
        >>> rows = make_rows([[0, 1, 2, 0], [0, 1, 2, 2]], prompt_lengths=[3, 3])
        >>> process(pairs, [[1.0, 2.0, 3.0]] * 2, rows).tolist()
        [[1.0, -inf, 3.0], [1.0, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 55

    encoder_no_repeat_ngram_size: Annotated[
        int,
        Field(
            ge=0,
            description="Length of the prompt's sequences not said again, in tokens; 0 is off.",
        ),
    ] = 0

    @override
    def start(self, session: Session) -> ProcessorRun:
        size = self.encoder_no_repeat_ngram_size
        if not size:
            return self
        followers = session.per_row(
            lambda prompt: _followers(prompt, size), lambda value, token, _: value
        )
        return _Run(size, followers)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


def _followers(prompt: Prompt, size: int) -> Followers:
    found: dict[tuple[int, ...], dict[int, None]] = {}
    tokens = prompt.tokens
    for start in range(len(tokens) - size + 1):
        *head, last = tokens[start : start + size]
        found.setdefault(tuple(head), {})[last] = None
    return {head: tuple(lasts) for head, lasts in found.items()}


@dataclass(frozen=True)
class _Run:
    """What must not follow what, of each row's prompt."""

    size: int
    followers: PerRow[Followers]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        out = [
            (row, token)
            for row, (tokens, followers) in enumerate(
                zip(rows.histories(), self.followers[rows], strict=True)
            )
            for token in followers.get(tuple(tokens[len(tokens) - self.size + 1 :]), ())
        ]
        if not out:
            return logits
        where = torch.tensor(out, dtype=torch.int64, device=logits.device).unbind(1)
        return logits.index_put(where, logits.new_tensor(-torch.inf))
