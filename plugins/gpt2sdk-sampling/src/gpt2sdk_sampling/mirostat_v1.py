"""Mirostat, first version: top-k with a k that holds the surprise at a target."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, PerRowTensor, Rows, Sampler, SamplerRun, Session, Tokens
from gpt2sdk_sampling.descending import descending

# Below it the distribution is flat, and any k would do.
_FLATTEST = 1e-6


class MirostatV1(Sampler):
    """Draws among the `k + 1` likeliest tokens, `k` made of a limit `mu`, then corrects `mu`.

    As if probabilities fell with a power of the rank (Zipf's law), its exponent is estimated from
    the ratios of the likeliest tokens, `s = sum t_i b_i / sum t_i ** 2` with `t_i = ln((i+1) / i)`
    and `b_i = ln(p_i / p_(i+1))` for i from 1 to m, `mirostat_m`; then
    `k = (e 2 ** mu / (1 - N ** -e)) ** (1 / s)`, rounded, with `e = s - 1` and N tokens in the
    vocabulary. After each token `mu` falls by `mirostat_eta * (-log2 p - mirostat_tau)`, `p` being
    the token's probability before the cut; it starts at `2 * mirostat_tau`. A token that could not
    have been drawn leaves `mu` as it is.

    So it is in the authors' program. llama.cpp rounds down, keeps k, uses 99 ratios, and takes the
    probability behind the cut. Tokens that are out have no part in the ratios; tokens that tie
    with the last one stay. `mirostat`, the second version, needs no estimate.

    Basu et al., "Mirostat: a neural text decoding algorithm that directly controls perplexity",
    2020, arXiv:2007.14966.

    Example:
        Of 8, 4, 2, 1 parts: b is ln 2 throughout, t are ln 2, ln 1.5 and ln 1.333, so s is
        1.304. With mu = 2 mirostat_tau = 2 and N = 4 then k = (0.304 * 4 / 0.344) ** 0.767 = 2.63,
        which is 3: all four stay. With mu = -2 it is 0.31, which is 0: one stays.

        >>> logits = torch.tensor([[8.0, 4.0, 2.0, 1.0]] * 2).log()
        >>> keep(logits, torch.tensor([2.0, -2.0], dtype=torch.float64), 100).isfinite().tolist()
        [[True, True, True, True], [True, False, False, False]]
    """

    mirostat_tau: Annotated[
        float, Field(gt=0.0, description="Target surprise, in bits per token.")
    ] = 5.0
    mirostat_eta: Annotated[
        float, Field(ge=0.0, le=1.0, description="How fast the limit follows, per token.")
    ] = 0.1
    mirostat_m: Annotated[
        int, Field(ge=1, description="How many ratios the exponent is estimated from.")
    ] = 100

    @override
    def start(self, session: Session) -> SamplerRun:
        first = torch.tensor(2.0 * self.mirostat_tau, dtype=torch.float64, device=session.device)
        return _Run(session.per_row_tensor(lambda _: first, self._correct), self.mirostat_m)

    def _correct(
        self, limit: Float64[Tensor, " rows"], tokens: Tokens, logits: Logits | None
    ) -> Float64[Tensor, " rows"]:
        """Return the next `mu` of rows that were given these logits and took these tokens."""
        if logits is None:
            return limit
        kept = keep(logits, limit, self.mirostat_m).gather(1, tokens[:, None])[:, 0].isfinite()
        logprobs = logits.log_softmax(-1, dtype=torch.float64).gather(1, tokens[:, None])[:, 0]
        return (limit - self.mirostat_eta * (-logprobs / math.log(2.0) - self.mirostat_tau)).where(
            kept, limit
        )


@dataclass(frozen=True)
class _Run:
    """The limit of each row: the column `mu` of a session."""

    limit: PerRowTensor
    ratios: int

    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        return rows.race(keep(logits, self.limit[rows], self.ratios))


def keep(logits: Logits, limit: Float64[Tensor, " rows"], m: int) -> Logits:
    """Return the logits of the tokens that may be drawn, `-inf` for others."""
    ordered = descending(logits)
    exponent = _exponent(ordered[:, : m + 1].double())
    excess = (exponent - 1.0) * math.log(logits.shape[-1])
    # x / (1 - exp(-x)) is 1 at 0, where it is 0 / 0.
    ratio = torch.where(excess.abs() < 1e-9, 1.0, excess / -torch.expm1(-excess))
    ratio = ratio.clamp(min=1e-300) / math.log(max(logits.shape[-1], 2))
    rank = ((limit * math.log(2.0) + ratio.log()) / exponent).exp()
    last = ordered.isfinite().sum(-1) - 1
    place = torch.minimum(rank.round().clamp(max=float(logits.shape[-1])).long(), last)
    least = ordered.gather(-1, place[:, None])
    return logits.masked_fill(logits < least, -torch.inf)


def _exponent(ordered: Float64[Tensor, "rows some"]) -> Float64[Tensor, " rows"]:
    """Return the exponent of Zipf's law of the sorted logits; 1 where a single token is left.

    >>> _exponent(torch.tensor([[1.0, 1 / 2, 1 / 3]], dtype=torch.float64).log())
    tensor([1.], dtype=torch.float64)
    """
    ranks = torch.arange(1, ordered.shape[-1] + 1, device=ordered.device, dtype=ordered.dtype)
    steps = ranks.log().diff()
    known = ordered[:, 1:].isfinite()
    falls = (ordered[:, :-1] - ordered[:, 1:]).where(known, 0.0)
    weight = steps.square().where(known, 0.0).sum(-1)
    slope = (steps * falls).sum(-1) / weight
    return slope.where(weight > 0, 1.0).clamp(min=_FLATTEST)
