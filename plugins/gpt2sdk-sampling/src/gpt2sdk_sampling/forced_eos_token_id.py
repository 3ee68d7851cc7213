"""Forced end token: what a row says last when it has no more room."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, ProcessorRun, Rows, Session, Stage, TokenId, check_ids
from gpt2sdk_sampling.forcing import force


class ForcedEosTokenId(LogitsProcessor):
    """Lets the last of `max_new_tokens` tokens be this one, or one of several.

    As in transformers, a forced token gets the logit 0, so that a beam's score stays as it is. It
    need not be a token that ends rows: then it is part of the text, and the row ends by its length.
    What was ruled out before is not revived, as transformers does: `min_new_tokens` of as many
    tokens, and an end token among `bad_words`, leave a row without a token.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[1], [1, 0]], max_new_tokens=2)  # grown by 0 and 1
        >>> process(ForcedEosTokenId(forced_eos_token_id=2), [[1.0, 2.0, 3.0]] * 2, rows).tolist()
        [[1.0, 2.0, 3.0], [-inf, -inf, 0.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 50

    forced_eos_token_id: Annotated[
        TokenId | tuple[TokenId, ...] | None,
        Field(description="Id, or ids, of the token said last where a row is full; None is off."),
    ] = None

    @override
    def start(self, session: Session) -> ProcessorRun:
        given = self.forced_eos_token_id
        tokens = (given,) if isinstance(given, int) else given or ()
        check_ids(tokens, session, "forced_eos_token_id")
        return _Run(torch.tensor(tokens, dtype=torch.int64, device=session.device))


@dataclass(frozen=True)
class _Run:
    """The tokens, on the session's device; none where it is off."""

    tokens: Int[Tensor, " tokens"]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        if not len(self.tokens):
            return logits
        last = rows.lengths - rows.prompt_lengths == rows.max_new_tokens - 1
        return force(logits, self.tokens, last)
