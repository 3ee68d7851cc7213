"""Mirostat: a sampler that holds the surprise of what it picks at a target."""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, PerRowTensor, Rows, Sampler, SamplerRun, Session, Tokens, row_sums


class Mirostat(Sampler):
    """Draws among the tokens whose surprise `-log2 p_i` is at most `mu`, then corrects `mu`.

    After each token `mu` falls by `mirostat_eta * (s - mirostat_tau)`, with `s` the token's
    surprise among those it was drawn from, renormalised; it starts at `2 * mirostat_tau`. The best
    token is always among them. This is version 2, which needs no estimate of the vocabulary's Zipf
    exponent. A token that the strategy took from elsewhere leaves `mu` as it is.

    Truncating processors before it (top-k, top-p) are allowed, and change what it can reach.

    Basu et al., "Mirostat: a neural text decoding algorithm that directly controls perplexity",
    2020, arXiv:2007.14966.

    Example:
        With mu = 2 mirostat_tau = 1.2 only surprises up to 1.2 bits, p >= 0.435, are drawn from.

        >>> from gpt2sdk.testing import choose
        >>> choose(Mirostat(mirostat_tau=0.6), torch.tensor([[0.4, 0.5, 0.1]]).log()).tolist()
        [1]
    """

    mirostat_tau: Annotated[
        float, Field(gt=0.0, description="Target surprise, in bits per token.")
    ] = 5.0
    mirostat_eta: Annotated[
        float, Field(ge=0.0, le=1.0, description="How fast the limit follows, per token.")
    ] = 0.1

    @override
    def start(self, session: Session) -> SamplerRun:
        first = torch.tensor(2.0 * self.mirostat_tau, dtype=torch.float64, device=session.device)
        return _Run(session.per_row_tensor(lambda _: first, self._correct))

    def _correct(
        self, limit: Float[Tensor, " rows"], tokens: Tokens, logits: Logits | None
    ) -> Float[Tensor, " rows"]:
        """Return the next `mu` of rows that were given these logits and took these tokens."""
        if logits is None:
            return limit
        picked = _drawable(logits, limit).gather(1, tokens[:, None])[:, 0]
        surprise = -picked.log2()
        return (limit - self.mirostat_eta * (surprise - self.mirostat_tau)).where(picked > 0, limit)


@dataclass(frozen=True)
class _Run:
    """The limit of each row: the column `mu` of a session."""

    limit: PerRowTensor

    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        ruled_out = _drawable(logits, self.limit[rows]) == 0
        return rows.race(logits.masked_fill(ruled_out, -torch.inf))


def _drawable(logits: Logits, limit: Float[Tensor, " rows"]) -> Float[Tensor, "rows vocab"]:
    """Return the probabilities, in float64, of the tokens within the limit of surprise.

    `-log2 p <= mu` is `p >= 2 ** -mu`. Of 1/2, 1/4, 1/4 a limit of 1.5 bits leaves the
    first, one of 2.5 bits all:

    >>> logits, limit = torch.tensor([[0.5, 0.25, 0.25]] * 2).log(), torch.tensor([1.5, 2.5])
    >>> (_drawable(logits, limit) > 0).tolist()
    [[True, False, False], [True, True, True]]
    """
    probs = logits.softmax(-1, dtype=torch.float64)
    best = probs.amax(-1, keepdim=True)
    least = torch.minimum(torch.exp2(-limit)[:, None], best)
    kept = probs.where(probs >= least, 0.0)
    return kept / row_sums(kept)
