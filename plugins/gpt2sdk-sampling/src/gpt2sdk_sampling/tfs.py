"""Tail-free sampling: the tail begins where the sorted probabilities stop bending."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.descending import descending
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class Tfs(LogitsProcessor):
    """Keeps the likeliest tokens until their curve has done the part `z` of its bending.

    `b_i = |p_i - 2 p_(i+1) + p_(i+2)|` of the sorted probabilities is how the curve bends at the
    token between, in parts of the sum of all. Token `i + 1` stays while `b_1 + ... + b_i <= z`, as
    does the first one; so in KoboldAI's and text-generation-webui's programs, while llama.cpp,
    which has since removed it, kept one token less. Tokens that are out do not bend the curve, and
    where no more than two are left they stay. The `min_tokens_to_keep` likeliest stay in any case,
    and tokens that tie with the last one too.

    Trenton Bricken, "Tail free sampling", 2019, trentonbricken.com/Tail-Free-Sampling.

    Example:
        The bends of 0.5, 0.3, 0.15, 0.05 are 0.05 and 0.05, half and half.

        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(Tfs(tfs=0.4), [0.5, 0.3, 0.15, 0.05])
        [1.0, 0.0, 0.0, 0.0]
        >>> reweigh(Tfs(tfs=0.6), [0.5, 0.3, 0.15, 0.05])
        [0.625, 0.375, 0.0, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 80

    tfs: Annotated[
        float, Field(ge=0.0, le=1.0, description="Part of the bending that stays; 1 is off.")
    ] = 1.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.tfs == 1.0 or logits.shape[-1] <= 2:
            return logits
        ordered = descending(logits)
        probs = ordered.softmax(-1, dtype=torch.float64)
        bends = probs.diff().diff().abs()
        bends = bends.where(ordered[:, 2:].isfinite(), 0.0)
        done = bends.cumsum(-1)
        # Three equal tokens do not bend: that is all of nothing, and ties stay.
        place = (done <= self.tfs * done[:, -1:]).sum(-1, keepdim=True)
        place = torch.where(ordered[:, 2:3].isfinite(), place, 1)
        least = torch.minimum(ordered.gather(-1, place), weakest(logits, self.min_tokens_to_keep))
        return cut_below(logits, least)
