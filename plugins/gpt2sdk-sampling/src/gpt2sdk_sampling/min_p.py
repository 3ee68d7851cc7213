"""Min-p: tokens far less likely than the best one go."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class MinP(LogitsProcessor):
    """Keeps tokens at least `a` times as likely as the best one: `p_i >= a * max(p)`.

    Computed as `z_i >= max(z) + ln a`, which needs no softmax. The `min_tokens_to_keep` likeliest
    stay in any case.

    Nguyen et al., "Turning up the heat: min-p sampling for creative and coherent LLM outputs",
    2024, arXiv:2407.01082.

    Example:
        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(MinP(min_p=0.25), [0.5, 0.3, 0.15, 0.05])  # at least 0.125
        [0.5263, 0.3158, 0.1579, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 40

    min_p: Annotated[
        float,
        Field(ge=0.0, le=1.0, description="Least probability, as a part of the best token's."),
    ] = 0.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.min_p == 0.0:
            return logits
        least = logits.amax(-1, keepdim=True) + math.log(self.min_p)
        spared = weakest(logits, self.min_tokens_to_keep)
        return cut_below(logits, torch.minimum(least, spared))
