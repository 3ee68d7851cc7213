"""Top-p: only the nucleus of the distribution stays."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest
from gpt2sdk_sampling.nucleus import reach


class TopP(LogitsProcessor):
    """Keeps the smallest set of likeliest tokens that holds the mass `p`.

    The token with which the sum reaches `p` is the last one kept, so there is always one, and the
    `min_tokens_to_keep` likeliest stay in any case; tokens of equal logits stay or go together. The
    sum is in float64: where it meets `p` to the last bits, transformers' float32 sum may keep one
    token more or less.

    Holtzman et al., "The curious case of neural text degeneration", 2019, arXiv:1904.09751.

    Example:
        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(TopP(top_p=0.7), [0.5, 0.3, 0.15, 0.05])
        [0.625, 0.375, 0.0, 0.0]
        >>> reweigh(TopP(top_p=0.0), [0.5, 0.3, 0.15, 0.05])
        [1.0, 0.0, 0.0, 0.0]
        >>> reweigh(TopP(top_p=0.0, min_tokens_to_keep=2), [0.5, 0.3, 0.15, 0.05])
        [0.625, 0.375, 0.0, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 30

    top_p: Annotated[
        float, Field(ge=0.0, le=1.0, description="Probability mass that stays; 1 is off.")
    ] = 1.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.top_p == 1.0:
            return logits
        best = logits.amax(-1, keepdim=True)
        distance = best - logits
        cut = reach(distance, (-distance).exp(), self.top_p)
        if self.min_tokens_to_keep > 1:
            cut = torch.maximum(cut, best - weakest(logits, self.min_tokens_to_keep))
        return logits.masked_fill(distance > cut, -torch.inf)
