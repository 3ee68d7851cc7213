"""Forced bos token: what a row that begins from one token says first."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OptionError,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
    TokenId,
    check_ids,
)
from gpt2sdk_sampling.forcing import force


class ForcedBosTokenId(LogitsProcessor):
    """Lets the second token of a row be this one, where its prompt has one token.

    That is transformers' rule, made for decoders that start from one token, and then are told the
    language to write in. There it does nothing for longer prompts; here it is an error. Such a
    prompt ends with the token itself.

    The token gets the logit 0, which leaves a beam's score as it is.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> process(ForcedBosTokenId(forced_bos_token_id=2), [[1.0, 2.0, 3.0]]).tolist()
        [[-inf, -inf, 0.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 40

    forced_bos_token_id: Annotated[
        TokenId | None,
        Field(description="Id of the token said first after a prompt of one token; None is off."),
    ] = None

    @override
    def check_prompt(self, prompt: Prompt) -> None:
        if self.forced_bos_token_id is not None and len(prompt.tokens) != 1:
            raise OptionError(
                f"forced_bos_token_id follows a prompt of one token, and prompt {prompt.index} has "
                f"{len(prompt.tokens)}: let the prompt end with the token instead",
                name="forced_bos_token_id",
                value=self.forced_bos_token_id,
                expected="prompts of one token",
            )

    @override
    def start(self, session: Session) -> ProcessorRun:
        given = self.forced_bos_token_id
        tokens = [] if given is None else [given]
        check_ids(tokens, session, "forced_bos_token_id")
        return _Run(torch.tensor(tokens, dtype=torch.int64, device=session.device))


@dataclass(frozen=True)
class _Run:
    """The token, on the session's device; none where it is off."""

    tokens: Int[Tensor, " tokens"]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return force(logits, self.tokens, rows.lengths == 1) if len(self.tokens) else logits
