"""Cite from the prompt: the prompt's words are likelier, or less likely, in what is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from gpt2sdk import Logits, LogitsProcessor, PerRow, ProcessorRun, Prompt, Rows, Session, Stage
from pydantic import Field
from typing_extensions import override


class CiteFromPrompt(LogitsProcessor):
    """Adds to the logits of the prompt's tokens, and of those that go on as the prompt does.

    Each token of the prompt gets `cite_from_prompt` nats, however often it is there; with
    `cite_from_prompt_ends` so do end tokens, lest rows cite without end. Behind new text each token
    that follows the row's last one somewhere in the prompt gets `cite_from_prompt_next` nats more:
    it leads a row along a passage. Negative numbers do the opposite.

    Ahmet Erdem's CiteFromPromptLogitsProcessor (NVIDIA, logits-processor-zoo 0.2.1). There the
    prompt is what came with the last call that did not go on from the one before: under beam search
    it takes what was just written for the prompt. In batches the padding is cited, too, and where
    that is the end token rows end sooner than alone. A new object is needed for each call.

    Example:
        The prompt has the tokens 0 and 1, in this order; the second row has written 0 itself.

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0, 1], [0, 1, 0]], prompt_lengths=[2, 2], eos_token_ids=[3])
        >>> cite = CiteFromPrompt(cite_from_prompt=1.0, cite_from_prompt_next=4.0)
        >>> process(cite, [[0.0, 0.0, 0.0, 0.0]] * 2, rows).tolist()
        [[1.0, 1.0, 0.0, 1.0], [1.0, 5.0, 0.0, 1.0]]
    """

    stage: ClassVar[Stage] = Stage.BIAS
    rank: ClassVar[int] = 70

    cite_from_prompt: Annotated[
        float,
        Field(
            ge=-1e6,
            le=1e6,
            description="Nats added to the prompt's tokens; 0 is off.",
            examples=[1.0],
        ),
    ] = 0.0
    cite_from_prompt_next: Annotated[
        float,
        Field(
            ge=-1e6,
            le=1e6,
            description="Nats added to tokens that follow the last one in the prompt.",
        ),
    ] = 0.0
    cite_from_prompt_ends: Annotated[
        bool, Field(description="Whether end tokens count as the prompt's.")
    ] = True

    @override
    def is_on(self) -> bool:
        return self.cite_from_prompt != 0.0 or self.cite_from_prompt_next != 0.0

    @override
    def start(self, session: Session) -> ProcessorRun:
        passages = session.per_row(self._passage, lambda passage, token, logits: passage)
        return _Run(self.cite_from_prompt, self.cite_from_prompt_next, passages)

    def _passage(self, prompt: Prompt) -> "_Passage":
        ends = prompt.eos_token_ids if self.cite_from_prompt_ends else frozenset()
        following: dict[int, set[int]] = {}
        for token, after in zip(prompt.tokens, prompt.tokens[1:], strict=False):
            following.setdefault(token, set()).add(after)
        return _Passage(frozenset(prompt.tokens) | ends, following)


@dataclass(frozen=True)
class _Passage:
    """What a prompt has to cite: its tokens, and what follows each of them."""

    tokens: frozenset[int]
    following: Mapping[int, set[int]]


@dataclass(frozen=True)
class _Run:
    """Two biases, and what each row's prompt has."""

    bias: float
    bias_next: float
    passages: PerRow[_Passage]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Add the biases."""
        due = [
            (seat, token, nats)
            for seat, (row, cited) in enumerate(zip(rows.records, self.passages[rows], strict=True))
            for tokens, nats in (
                (cited.tokens, self.bias),
                (cited.following.get(row.tokens[-1], ()) if row.grown else (), self.bias_next),
            )
            for token in sorted(tokens)
            if nats and token < logits.shape[1]
        ]
        if not due:
            return logits
        seats, tokens, nats = zip(*due, strict=True)
        where = torch.tensor([seats, tokens], dtype=torch.int64, device=logits.device).unbind(0)
        return logits.index_put(where, logits.new_tensor(nats), accumulate=True)
