"""Suppressed tokens: they are not said."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, ProcessorRun, Rows, Session, Stage, TokenId, check_ids


class SuppressTokens(LogitsProcessor):
    """Rules tokens out, end tokens too, at every step.

    As in transformers. Unlike `bad_words`, which passes over an end token that stands alone, it
    takes what is given; `eos_token_id=None` lets rows go on past end tokens instead.

    Example:
        >>> from gpt2sdk.testing import process
        >>> process(SuppressTokens(suppress_tokens=[0]), [[1.0, 2.0, 3.0]]).tolist()
        [[-inf, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 70

    suppress_tokens: Annotated[
        tuple[TokenId, ...], Field(description="Ids of tokens that are never said.")
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        check_ids(self.suppress_tokens, session, "suppress_tokens")
        return _Run(torch.tensor(self.suppress_tokens, dtype=torch.int64, device=session.device))


@dataclass(frozen=True)
class _Run:
    """The ids, on the session's device."""

    out: Int[Tensor, " tokens"]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits.index_fill(1, self.out, -torch.inf)
