"""Encoder repetition penalty: what the prompt says becomes likelier, or less likely."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.history import put, said, uniform


class EncoderRepetitionPenalty(LogitsProcessor):
    """Multiplies positive logits of the prompt's tokens by `r`, and divides negative ones by it.

    Above 1 it favours what the prompt says, against made-up words; it is a penalty below 1. Once
    per token, however often the prompt has it; the output does not count. The result depends on
    where the logits' zero is, as that of `repetition_penalty` does.

    The name and the rule are those of transformers, which was the first to have it for models
    with an encoder; text-generation-webui took it over for prompts.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0, 1, 2]], prompt_lengths=[2])
        >>> favour = EncoderRepetitionPenalty(encoder_repetition_penalty=2.0)
        >>> process(favour, [[4.0, -1.0, 3.0]], rows).tolist()
        [[8.0, -0.5, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 10

    encoder_repetition_penalty: Annotated[
        float,
        Field(
            gt=0.0,
            description="Above 1 the prompt's tokens become likelier, below 1 less likely; "
            "1 is off.",
        ),
    ] = 1.0

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        favour = self.encoder_repetition_penalty
        tokens = uniform(rows, "prompt")
        if tokens is not None:
            # Equal tokens get equal values, so the order of writing is of no account.
            return logits.scatter(1, tokens, _favoured(logits.gather(1, tokens), favour))
        tokens, inside = said(rows, "prompt")
        values = _favoured(logits.gather(1, tokens), favour)
        return put(logits, tokens, values, inside, lower=favour < 1.0)


def _favoured(logits: Float[Tensor, "rows places"], favour: float) -> Float[Tensor, "rows places"]:
    """Of the product and the quotient, that which is the likelier; the less likely below 1."""
    pick = torch.maximum if favour > 1.0 else torch.minimum
    return pick(logits * favour, logits / favour)
