"""Doubt: a row that is unsure for too long says so."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from gpt2sdk import (
    Logits,
    LogitsProcessor,
    PerRowTensor,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    TextOrIds,
    Tokens,
    tokens_of,
)
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk_zoo.phrase import force

Doubts = Int64[Tensor, "rows 2"]
"""For how many tokens each row has been unsure, and how many tokens of the phrase it has said."""


class PreventHallucination(LogitsProcessor):
    """Says a phrase where a row was unsure of more than so many tokens in a row.

    It is unsure where no token has the probability `prevent_hallucination`, in the distribution
    that comes in: after biases and penalties, before temperature. The phrase's tokens get the logit
    0 and follow one another. Then counting begins anew. To end there, make the phrase a stop
    string, too.

    Ahmet Erdem's PreventHallucinationLogitsProcessor (NVIDIA, logits-processor-zoo 0.2.1), where
    the threshold is 0.4, and the phrase this one. Its documentation says that unsure tokens count
    when they are consecutive; its code never goes back to 0 before it has spoken, so that a long
    text always speaks. It counts in a list with one entry for each prompt of the batch, which beam
    search outgrows (IndexError). And it forces by lowering all other tokens to the least logit of
    the row: of an unsure row that leaves most of the probability to them.

    Raises:
        OptionError: In a call: the phrase has no tokens.

    Example:
        Unsure below 0.6, and no token of it is tolerated: the first row says b.

        >>> from gpt2sdk.testing import process
        >>> doubt = PreventHallucination(
        ...     prevent_hallucination=0.6,
        ...     prevent_hallucination_tolerate=0,
        ...     prevent_hallucination_phrase="b",
        ... )
        >>> process(doubt, [[1.0, 1.0, 1.0], [3.0, 1.0, 1.0]]).tolist()
        [[-inf, 0.0, -inf], [3.0, 1.0, 1.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 84

    prevent_hallucination: Annotated[
        float,
        Field(
            ge=0.0,
            le=1.0,
            description="Probability that the likeliest token needs; 0 is off.",
            examples=[0.4],
        ),
    ] = 0.0
    prevent_hallucination_tolerate: Annotated[
        int, Field(ge=0, description="How many unsure tokens in a row are let pass.")
    ] = 1
    prevent_hallucination_phrase: Annotated[
        TextOrIds,
        Field(description="Text or ids that are said then.", examples=["ab"]),
    ] = "...I don't know actually.\n"

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.prevent_hallucination == 0.0:
            return self
        written = self.prevent_hallucination_phrase
        tokens = tokens_of(written, session, "prevent_hallucination_phrase")
        phrase = torch.tensor(tokens, dtype=torch.int64, device=session.device)
        doubt = _Doubt(self.prevent_hallucination, self.prevent_hallucination_tolerate, phrase)
        none = torch.zeros(2, dtype=torch.int64, device=session.device)
        return _Run(doubt, session.per_row_tensor(lambda _: none, doubt.accept))

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


@dataclass(frozen=True)
class _Doubt:
    """When a row speaks, and what it says."""

    least: float
    tolerated: int
    phrase: Int64[Tensor, " phrase"]

    def unsure(self, doubts: Doubts, logits: Logits) -> Tokens:
        """For how many tokens each row is unsure, the present one included."""
        best = logits.softmax(-1).amax(-1)
        return torch.where(best < self.least, doubts[:, 0] + 1, 0)

    def due(self, doubts: Doubts, logits: Logits) -> Tokens:
        """What each row has to say next; -1 where it is free."""
        speaks = (doubts[:, 1] > 0) | (self.unsure(doubts, logits) > self.tolerated)
        return self.phrase[doubts[:, 1]].where(speaks, -1)

    def accept(self, doubts: Doubts, tokens: Tokens, logits: Logits | None) -> Doubts:
        """The doubts behind a token; the phrase breaks off where another one was said."""
        if logits is None:
            return torch.zeros_like(doubts)
        begins_or_goes_on = self.due(doubts, logits) == tokens
        said = torch.where(begins_or_goes_on, doubts[:, 1] + 1, 0) % len(self.phrase)
        speaking = begins_or_goes_on | (doubts[:, 1] > 0)
        unsure = torch.where(speaking, 0, self.unsure(doubts, logits))
        return torch.stack([unsure, said], 1)


@dataclass(frozen=True)
class _Run:
    """A doubt at work, and how far each row is in it."""

    doubt: _Doubt
    doubts: PerRowTensor

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Let rows speak."""
        return force(logits, self.doubt.due(self.doubts[rows], logits))
