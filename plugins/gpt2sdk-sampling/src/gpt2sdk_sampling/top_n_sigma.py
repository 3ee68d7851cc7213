"""Top-n-sigma: logits within some standard deviations of the best one stay."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage, row_sums
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest
from gpt2sdk_sampling.parts import parts


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
        far = torch.cat([self.top_n_sigma * _deviation(part) for (part,) in parts(logits)])
        least = logits.amax(-1, keepdim=True) - far.to(logits.dtype)
        spared = weakest(logits, self.min_tokens_to_keep)
        return cut_below(logits, torch.minimum(least, spared))


def _deviation(logits: Logits) -> Float64[Tensor, "rows 1"]:
    """Return the standard deviation of the logits that are not out.

    >>> _deviation(torch.tensor([[3.0, 1.0, 1.0, -1.0, -torch.inf]]))
    tensor([[1.4142]], dtype=torch.float64)
    """
    inside = logits.isfinite()
    count = inside.sum(-1, keepdim=True)
    shifted = (logits - logits.amax(-1, keepdim=True)).where(inside, 0.0)
    mean = row_sums(shifted, torch.float64) / count
    apart = shifted.sub_(mean.to(shifted.dtype)).square_()
    return (row_sums(apart.where(inside, 0.0), torch.float64) / count).sqrt()
