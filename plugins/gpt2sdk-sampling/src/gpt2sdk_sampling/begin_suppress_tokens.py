"""Tokens suppressed at the beginning: a completion does not begin with them."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, ProcessorRun, Rows, Session, Stage, TokenId, check_ids
from gpt2sdk_sampling.history import rule_out


class BeginSuppressTokens(LogitsProcessor):
    """Rules tokens out as a row's first new token.

    As in transformers, which counts from the second one where `forced_bos_token_id` makes the
    first; here it is always the first, so a forced token must not be among these.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> begin = BeginSuppressTokens(begin_suppress_tokens=[0])
        >>> rows = make_rows([[1], [1, 2]], prompt_lengths=[1, 1])
        >>> process(begin, [[1.0, 2.0, 3.0]] * 2, rows).tolist()
        [[-inf, 2.0, 3.0], [1.0, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 80

    begin_suppress_tokens: Annotated[
        tuple[TokenId, ...],
        Field(description="Ids of tokens that no completion begins with."),
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        check_ids(self.begin_suppress_tokens, session, "begin_suppress_tokens")
        return _Run(
            torch.tensor(self.begin_suppress_tokens, dtype=torch.int64, device=session.device)
        )


@dataclass(frozen=True)
class _Run:
    """The ids, on the session's device."""

    out: Int[Tensor, " tokens"]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        first = (rows.lengths == rows.prompt_lengths)[:, None]
        places = self.out.expand(len(logits), -1)
        return rule_out(logits, places, first.expand(-1, len(self.out)))
