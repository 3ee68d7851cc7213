"""Top-n-sigma: logits within some standard deviations of the best one stay."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class TopNSigma(LogitsProcessor):
    """Keeps tokens of logits `z_i >= max(z) - n * sigma`.

    `sigma` is the standard deviation of the logits of all tokens that are not out, `n` of them
    and not `n - 1` in the denominator, as in llama.cpp. text-generation-webui takes tokens that
    are out for logits of 0, Aphrodite does not cut at all where there are some. The temperature
    scales both sides alike, so it changes nothing about what stays. The `min_tokens_to_keep`
    likeliest stay in any case.

    Tang et al., "Top-n-sigma: not all logits are you need", 2024, arXiv:2411.07641; they use 1.

    Example:
        Of 3, 1, 1, -1 the mean is 1 and the deviation the square root of 2: at least 1.586.

        >>> from gpt2sdk.testing import process
        >>> process(TopNSigma(top_n_sigma=1.0), [[3.0, 1.0, 1.0, -1.0]]).tolist()
        [[3.0, -inf, -inf, -inf]]
        >>> process(TopNSigma(top_n_sigma=1.5), [[3.0, 1.0, 1.0, -1.0]]).tolist()
        [[3.0, 1.0, 1.0, -inf]]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 5

    top_n_sigma: Annotated[
        float,
        Field(ge=0.0, description="How many standard deviations below the best; 0 is off."),
    ] = 0.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.top_n_sigma == 0.0:
            return logits
        best = logits.amax(-1, keepdim=True)
        inside = logits.isfinite()
        below = (best - logits).where(inside, 0.0)
        count = inside.sum(-1, keepdim=True)
        mean = below.sum(-1, keepdim=True, dtype=torch.float64) / count
        apart = (below - mean.to(below.dtype)).where(inside, 0.0)
        variance = apart.square().sum(-1, keepdim=True, dtype=torch.float64) / count
        least = best - (self.top_n_sigma * variance.sqrt()).to(best.dtype)
        spared = weakest(logits, self.min_tokens_to_keep)
        return logits.masked_fill(logits < torch.minimum(least, spared), -torch.inf)
