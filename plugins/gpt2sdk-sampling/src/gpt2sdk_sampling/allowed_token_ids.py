"""Allowed tokens: nothing else is said."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, ProcessorRun, Rows, Session, Stage, TokenId, check_ids


class AllowedTokenIds(LogitsProcessor):
    """Rules out every token that is not in a list.

    End tokens are no exception: a row ends by itself only where one of them is in the list. As in
    vLLM. For words to choose from, encode them with the blank that stands before them in a text.

    Example:
        >>> from gpt2sdk.testing import process
        >>> process(AllowedTokenIds(allowed_token_ids=[0, 2]), [[1.0, 2.0, 3.0]]).tolist()
        [[1.0, -inf, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 24

    allowed_token_ids: Annotated[
        tuple[TokenId, ...],
        Field(description="Ids of the tokens that may be said; none given is off."),
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        check_ids(self.allowed_token_ids, session, "allowed_token_ids")
        out = torch.full((session.model.vocab_size,), bool(self.allowed_token_ids))
        out[list(self.allowed_token_ids)] = False
        return _Run(out.to(session.device))


@dataclass(frozen=True)
class _Run:
    """What is ruled out, on the session's device."""

    out: Bool[Tensor, " vocab"]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits.masked_fill(self.out, -torch.inf)
