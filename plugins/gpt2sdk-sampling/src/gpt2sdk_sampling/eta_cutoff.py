"""Eta sampling: tokens below a probability that follows the entropy go."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.entropy import entropies
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class EtaCutoff(LogitsProcessor):
    """Keeps tokens of probability `p_i >= min(e, sqrt(e) * exp(-H))`.

    `H` is the entropy in nats: where many tokens are plausible, less likely ones stay too. The
    `min_tokens_to_keep` best stay in any case.

    Hewitt, Manning and Liang, "Truncation sampling as language model desmoothing", 2022,
    arXiv:2210.15191; they use 3e-4 to 4e-3.

    Example:
        Four tokens, entropy ln 4: the limit is min(0.16, 0.4 / 4) = 0.1.

        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(EtaCutoff(eta_cutoff=0.16), [0.25, 0.25, 0.25, 0.25])
        [0.25, 0.25, 0.25, 0.25]

        Entropy 0.394, so the limit is min(0.16, 0.4 * 0.674) = 0.16.

        >>> reweigh(EtaCutoff(eta_cutoff=0.16), [0.9, 0.05, 0.05, 0.0])
        [1.0, 0.0, 0.0, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 70

    eta_cutoff: Annotated[
        float,
        Field(ge=0.0, lt=1.0, description="Probability that the limit is made of; 0 is off."),
    ] = 0.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.eta_cutoff == 0.0:
            return logits
        nats, total = entropies(logits)
        least = (0.5 * math.log(self.eta_cutoff) - nats).clamp(max=math.log(self.eta_cutoff))
        spared = weakest(logits, self.min_tokens_to_keep)
        return cut_below(logits, torch.minimum(least.to(spared.dtype) + total, spared))
