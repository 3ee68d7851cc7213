"""Top-k: only the k likeliest tokens stay."""

from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest


class TopK(LogitsProcessor):
    """Keeps the tokens whose logit is at least the k-th largest: `z_i >= z_(k)`.

    Tokens that tie with the k-th all stay, as in transformers, so more than k may be left. A k
    beyond the vocabulary keeps everything. Below `min_tokens_to_keep`, that is the k.

    Fan, Lewis and Dauphin, "Hierarchical neural story generation", 2018, arXiv:1805.04833.
    transformers has 50 as its default, here nothing is cut unless asked.

    Example:
        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(TopK(top_k=2), [0.5, 0.3, 0.15, 0.05])
        [0.625, 0.375, 0.0, 0.0]
        >>> reweigh(TopK(top_k=2), [0.4, 0.2, 0.2, 0.2])
        [0.4, 0.2, 0.2, 0.2]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 20

    top_k: Annotated[
        int, Field(ge=0, description="How many of the likeliest tokens stay; 0 is off.")
    ] = 0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        count = max(self.top_k, self.min_tokens_to_keep)
        if self.top_k == 0 or count >= logits.shape[-1]:
            return logits
        return cut_below(logits, weakest(logits, count))
