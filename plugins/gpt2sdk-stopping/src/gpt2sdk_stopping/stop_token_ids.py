"""Stop tokens: a row ends with one of these tokens."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    CriterionRun,
    Mask,
    Rows,
    Session,
    StoppingCriterion,
    TokenId,
    check_ids,
)


class StopTokenIds(StoppingCriterion):
    """Ends a row with the first of these tokens that it appends.

    The end tokens of the model go on ending rows too; `eos_token_id` replaces those. Unlike an
    end token, the token found is part of the text (special tokens have none), as in vLLM: hence
    a reason of its own, `stop_token`.

    Raises:
        OptionError: An id is not smaller than the vocabulary.

    Example:
        >>> from gpt2sdk.testing import ends, make_rows
        >>> ends(StopTokenIds(stop_token_ids=[2]), make_rows([[0, 1, 2], [0, 2, 1], [2]])).tolist()
        [True, False, False]
    """

    reason: ClassVar[str] = "stop_token"

    stop_token_ids: Annotated[
        tuple[TokenId, ...],
        Field(description="Token ids that end a row, besides the end tokens."),
    ] = ()

    @override
    def start(self, session: Session) -> CriterionRun:
        check_ids(self.stop_token_ids, session, "stop_token_ids")
        return _Run(torch.tensor(self.stop_token_ids, dtype=torch.int64, device=session.device))


@dataclass(frozen=True)
class _Run:
    """The ids on the session's device."""

    ends: Int[Tensor, " ends"]

    def check(self, rows: Rows) -> Mask:
        last = rows.tokens.gather(1, rows.lengths[:, None] - 1)[:, 0]
        return torch.isin(last, self.ends) & (rows.lengths > rows.prompt_lengths)
