"""Top-h: the likeliest tokens that carry a part of the entropy stay."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.largest import largest
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest

# As in the authors' program and in transformers: entropy is that of so many likeliest tokens.
_CONSIDERED = 100


class TopH(LogitsProcessor):
    """Keeps the likeliest tokens while their terms `-p ln p` sum up to at most `h * H`.

    `p` and the entropy `H` are those of the 100 likeliest tokens, renormalised, as in the
    authors' program; others go. (The paper bounds the entropy of what is kept, renormalised; its
    program, transformers and this one add up the terms as they are.) The
    `min_tokens_to_keep` likeliest are always kept, which transformers has not, and tokens that tie
    with the last one too.

    Potraghloo et al., "Top-H decoding: adapting the creativity and coherence with bounded entropy
    in text generation", 2025, arXiv:2509.02510.

    Example:
        The terms of 1/2, 1/4, 1/8, 1/8 are 2, 2, 1.5 and 1.5 quarters of ln 2, of 7 together.

        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(TopH(top_h=0.6), [0.5, 0.25, 0.125, 0.125])
        [0.6667, 0.3333, 0.0, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 10

    top_h: Annotated[
        float | None,
        Field(gt=0.0, le=1.0, description="Part of the entropy that stays; None is off."),
    ] = None
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.top_h is None:
            return logits
        best = largest(logits, _CONSIDERED)
        terms = torch.special.entr(best.softmax(-1)).to(torch.float64)
        carried = terms.cumsum(-1)
        # Tokens whose probability is zero in float32 would come for nothing.
        stays = (carried <= self.top_h * carried[:, -1:]) & (terms > 0)
        count = stays.sum(-1, keepdim=True).clamp(min=1)
        least = best.gather(-1, count - 1)
        if self.min_tokens_to_keep <= best.shape[-1]:
            spared = best[:, self.min_tokens_to_keep - 1, None]
        else:
            spared = weakest(logits, self.min_tokens_to_keep)
        return cut_below(logits, torch.minimum(least, spared))
