"""Typical-p: tokens about as surprising as expected stay."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.entropy import entropy
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest
from gpt2sdk_sampling.nucleus import reach
from gpt2sdk_sampling.parts import parts


class TypicalP(LogitsProcessor):
    """Keeps the tokens whose surprise is nearest to the entropy, until they hold the mass `p`.

    Tokens are taken in the order of `|-ln p_i - H|` with `H = -sum p_i ln p_i`; the one that
    reaches `p` is kept, and the `min_tokens_to_keep` nearest stay in any case; tokens of equal
    distance stay or go together. The likeliest token may go.
    transformers refuses 0 and 1, here 1 is off.

    Meister et al., "Locally typical sampling", 2022, arXiv:2202.00666.

    Example:
        Entropy 1.168; surprises 0.693, 1.204 and 2.303, so 0.475, 0.036 and 1.135 away from it.

        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(TypicalP(typical_p=0.25), [0.5, 0.3, 0.1, 0.1])
        [0.0, 1.0, 0.0, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 50

    typical_p: Annotated[
        float, Field(gt=0.0, le=1.0, description="Probability mass that stays; 1 is off.")
    ] = 1.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.typical_p == 1.0:
            return logits
        return torch.cat([self._cut(part) for (part,) in parts(logits)])

    def _cut(self, logits: Logits) -> Logits:
        logprobs = logits.log_softmax(-1)
        probs = logits.softmax(-1)
        distance = (logprobs + entropy(probs, logprobs).to(logprobs.dtype)).abs_()
        cut = reach(distance, probs, self.typical_p)
        if self.min_tokens_to_keep > 1:
            cut = torch.maximum(cut, -weakest(-distance, self.min_tokens_to_keep))
        return logits.masked_fill(distance > cut, -torch.inf)
