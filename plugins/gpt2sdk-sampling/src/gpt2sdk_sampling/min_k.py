"""Min-k: the tail begins at the steepest fall of the sorted logits."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.descending import descending
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest

# So that equal logits divide by something; the authors' program adds it to every range.
_LEAST_RANGE = 1e-8


class MinK(LogitsProcessor):
    """Keeps the `k` likeliest tokens, `k` being where the sorted logits fall off most.

    It is the `i` of the largest `(z_(i) - z_(i+1)) / i`: a fall counts less further down. The
    temperature does not change it. Where logits lie within a small range, at least
    `tau / (max(z) - min(z))` tokens stay, rounded down. Tokens that are out count for neither:
    with them the range is infinite, and the fall to the first of them not a number, which torch's
    argmax takes for the largest. So by the formula of vLLM's pending processor every token that is
    not out stays then. Ties with the last token stay, as do the `min_tokens_to_keep` likeliest.

    Ding, Li, Garces Arias, Aßenmacher, Heumann and Zhang, "Min-k sampling: decoupling truncation
    from temperature scaling via relative logit dynamics", 2026, arXiv:2604.11012; the value 3 of
    tau is that of vLLM's tests.

    Example:
        The falls 1, 4, 2 count 1, 2 and 0.67; for a range of 7 tau adds nothing.

        >>> from gpt2sdk.testing import process
        >>> process(MinK(min_k=True), [[7.0, 6.0, 2.0, 0.0]]).tolist()
        [[7.0, 6.0, -inf, -inf]]

        The falls 0.4, 0.1, 0.5 count 0.4, 0.05 and 0.17, but at least 3 / 1 tokens stay.

        >>> process(MinK(min_k=True), [[1.0, 0.6, 0.5, 0.0]]).isfinite().tolist()
        [[True, True, True, False]]
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 6

    min_k: Annotated[bool, Field(description="Cut where the sorted logits fall off most.")] = False
    min_k_tau: Annotated[
        float,
        Field(
            ge=0.0,
            description="Over the range of the logits in nats: how many tokens stay at least; 0 "
            "for the fall alone.",
        ),
    ] = 3.0
    min_tokens_to_keep: MinTokensToKeep = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if not self.min_k:
            return logits
        ordered = descending(logits)
        last = (logits.isfinite().sum(-1, keepdim=True) - 1).clamp(min=0)
        spread = ordered[:, :1] - ordered.gather(-1, last)
        many = (self.min_k_tau / spread.double().clamp(min=_LEAST_RANGE)).floor().long()
        place = torch.minimum(torch.maximum(_steepest(ordered), many - 1), last)
        least = torch.minimum(ordered.gather(-1, place), weakest(logits, self.min_tokens_to_keep))
        return cut_below(logits, least)


def _steepest(ordered: Logits) -> Int64[Tensor, "rows 1"]:
    """Return the place before the fall that counts most, the first one on ties.

    >>> _steepest(torch.tensor([[7.0, 6.0, 2.0, -torch.inf], [1.0, -torch.inf, -torch.inf, 0.0]]))
    tensor([[1],
            [0]])
    """
    width = ordered.shape[-1]
    if width == 1:
        return torch.zeros_like(ordered, dtype=torch.int64)
    falls = ordered[:, :-1] - ordered[:, 1:]
    counted = falls / torch.arange(1, width, device=ordered.device, dtype=ordered.dtype)
    return counted.where(ordered[:, 1:].isfinite(), -1.0).argmax(-1, keepdim=True)
