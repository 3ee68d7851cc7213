"""Top-a: tokens far less likely than the square of the best one's probability go."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class TopA(LogitsProcessor):
    """Keeps tokens of probability `p_i >= a * max(p) ** 2`.

    Where the best token is likely it cuts like min-p, where it is not it hardly cuts. The
    `min_tokens_to_keep` likeliest stay in any case.

    BlinkDL, "The top-a sampling method", 2021, in RWKV-LM.

    Example:
        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(TopA(top_a=0.4), [0.5, 0.3, 0.15, 0.05])  # at least 0.1
        [0.5263, 0.3158, 0.1579, 0.0]
        >>> reweigh(TopA(top_a=0.4), [0.25, 0.25, 0.2, 0.15, 0.15])  # at least 0.025
        [0.25, 0.25, 0.2, 0.15, 0.15]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 90

    top_a: Annotated[
        float,
        Field(
            ge=0.0,
            le=1.0,
            description="Least probability, as a part of the best one's square; 0 is off.",
        ),
    ] = 0.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.top_a == 0.0:
            return logits
        probs = logits.softmax(-1)
        least = self.top_a * probs.amax(-1, keepdim=True).square()
        spared = weakest(probs, self.min_tokens_to_keep)
        return logits.masked_fill(probs < torch.minimum(least, spared), -torch.inf)
