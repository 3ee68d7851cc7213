"""P-less: tokens less likely than that two draws agree go."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage, row_sums
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class PLess(LogitsProcessor):
    """Keeps tokens of probability `p_i >= sum of all p_j ** 2`.

    The sum is the probability that two draws are the same token; it has no parameter to choose,
    and is never above that of the best token. The `min_tokens_to_keep` likeliest stay in any case.

    Tan et al., "p-less sampling: a robust hyperparameter-free approach for LLM decoding", 2025,
    arXiv:2509.23234.

    Example:
        0.25 + 0.09 + 0.0225 + 0.0025 is 0.365.

        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(PLess(p_less=True), [0.5, 0.3, 0.15, 0.05])
        [1.0, 0.0, 0.0, 0.0]
        >>> reweigh(PLess(p_less=True), [0.3, 0.3, 0.3, 0.1])  # at least 0.28
        [0.3333, 0.3333, 0.3333, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 100

    p_less: Annotated[bool, Field(description="Cut below the probability of a repeat.")] = False
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if not self.p_less:
            return logits
        probs = logits.softmax(-1)
        least = row_sums(probs.square(), torch.float64).to(probs.dtype)
        # Of equal tokens the sum may be above each by rounding.
        spared = weakest(probs, self.min_tokens_to_keep)
        return logits.masked_fill(probs < torch.minimum(least, spared), -torch.inf)
