"""Logit bias: single tokens are made likelier or less likely by hand."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import BeforeValidator, Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, ProcessorRun, Rows, Session, Stage, TokenId, check_ids


def _ids_from_json(pairs: object) -> object:
    """Keys of a JSON object are strings, so ids may come as digits."""
    if not isinstance(pairs, tuple):
        return pairs
    return tuple(
        (int(pair[0]), *pair[1:])
        if isinstance(pair, tuple) and pair and isinstance(pair[0], str) and pair[0].isdecimal()
        else pair
        for pair in pairs
    )


class LogitBias(LogitsProcessor):
    """Adds a number to the logits of single tokens: `z_i + b_i`.

    Written as a mapping from token id to bias, kept as a tuple of pairs. In OpenAI's API the
    range is -100 to 100, which all but bans or forces a token; here any finite number will do.
    To rule a token out for good use `bad_words`.

    Example:
        >>> from gpt2sdk.testing import process
        >>> process(LogitBias(logit_bias={0: 2.5, 2: -1.0}), [[1.0, 1.0, 1.0]]).tolist()
        [[3.5, 1.0, 0.0]]
    """

    stage: ClassVar[Stage] = Stage.BIAS
    rank: ClassVar[int] = 20

    logit_bias: Annotated[
        tuple[tuple[TokenId, float], ...],
        BeforeValidator(_ids_from_json),
        Field(description="Token ids and what is added to their logits, in nats."),
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        check_ids((token for token, _ in self.logit_bias), session, "logit_bias")
        bias = torch.zeros(session.model.vocab_size)
        for token, value in self.logit_bias:
            bias[token] += value
        return _Run(bias.to(session.device))


@dataclass(frozen=True)
class _Run:
    """The biases of all tokens, on the session's device."""

    bias: Float[Tensor, " vocab"]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits + self.bias
