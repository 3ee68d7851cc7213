"""Epsilon sampling: tokens below an absolute probability go."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.entropy import log_total
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class EpsilonCutoff(LogitsProcessor):
    """Keeps tokens of probability `p_i >= e`, and the `min_tokens_to_keep` best in any case.

    Hewitt, Manning and Liang, "Truncation sampling as language model desmoothing", 2022,
    arXiv:2210.15191; they use 3e-4 to 2e-3.

    Example:
        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(EpsilonCutoff(epsilon_cutoff=0.2), [0.5, 0.3, 0.15, 0.05])
        [0.625, 0.375, 0.0, 0.0]
        >>> reweigh(EpsilonCutoff(epsilon_cutoff=0.7), [0.5, 0.3, 0.15, 0.05])
        [1.0, 0.0, 0.0, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 60

    epsilon_cutoff: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Least probability that stays; 0 is off.")
    ] = 0.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.epsilon_cutoff == 0.0:
            return logits
        spared = weakest(logits, self.min_tokens_to_keep)
        least = log_total(logits) + math.log(self.epsilon_cutoff)
        return cut_below(logits, torch.minimum(least, spared))
