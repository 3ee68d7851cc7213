"""Adaptive-p: a sampler that draws tokens of about a given probability."""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float64
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, PerRowTensor, Rows, Sampler, SamplerRun, Session, Tokens

# How wide the favoured region is, how high, and how steep its sides: llama.cpp's constants.
_WIDTH, _PEAK, _SHARPNESS = 0.3, 5.0, 10.0


class AdaptiveP(Sampler):
    """Draws with logits that are highest for tokens of a target probability.

    The logit of a token is `5 - 10 x ** 2 / (1 + x)`, with `x = |p_i - t'| / 0.3` and
    `t' = 2 t - a` within 0 and 1: `t` is the target and `a` the average probability of the tokens
    that the row took, each weighing `decay` times as much as the next, as if the target had been
    met before the text began. The probabilities are those that the sampler is given, so what the
    truncations left: it is meant to stand behind one, such as `min_p`.

    A token that was out leaves the average as it is; where a strategy takes another token than
    was drawn, that one counts.

    llama.cpp, pull request 17927, 2026, by "MrJackSpade" and "ddh0".

    Example:
        For the goal 0.25 the second token is right, the first is 0.3 from it and the third 0.05.

        >>> logits = torch.tensor([[0.55, 0.25, 0.2]]).log()
        >>> goal = torch.tensor([0.25], dtype=torch.float64)
        >>> [round(each, 3) for each in adapt(logits, goal)[0].tolist()]
        [0.0, 5.0, 4.762]
    """

    adaptive_target: Annotated[
        float, Field(ge=0.0, le=1.0, description="Probability that tokens are to have.")
    ] = 0.5
    adaptive_decay: Annotated[
        float,
        Field(
            ge=0.0,
            le=0.99,
            description="What a token's weight in the average is multiplied by at each next one.",
        ),
    ] = 0.9

    @override
    def start(self, session: Session) -> SamplerRun:
        total = 1.0 / (1.0 - self.adaptive_decay)
        first = torch.tensor(
            [self.adaptive_target * total, total], dtype=torch.float64, device=session.device
        )
        return _Run(session.per_row_tensor(lambda _: first, self._remember), self.adaptive_target)

    def _remember(
        self, average: Float64[Tensor, "rows 2"], tokens: Tokens, logits: Logits | None
    ) -> Float64[Tensor, "rows 2"]:
        """Return the sums of rows that were given these logits and took these tokens."""
        if logits is None:
            return average
        probs = logits.softmax(-1, dtype=torch.float64).gather(1, tokens[:, None])
        taken = torch.cat([probs, torch.ones_like(probs)], 1)
        return (taken + self.adaptive_decay * average).where(probs > 0, average)


@dataclass(frozen=True)
class _Run:
    """The weighted sum of the probabilities that each row took, and the sum of the weights."""

    average: PerRowTensor
    target: float

    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        weighted, total = self.average[rows].unbind(-1)
        return rows.race(adapt(logits, (2.0 * self.target - weighted / total).clamp(0.0, 1.0)))


def adapt(logits: Logits, goal: Float64[Tensor, " rows"]) -> Logits:
    """Return logits that are highest where a token's probability is the goal."""
    apart = (logits.softmax(-1) - goal[:, None].to(logits.dtype)).abs() / _WIDTH
    adapted = _PEAK - _SHARPNESS * apart.square() / (1.0 + apart)
    return adapted.masked_fill(logits.isneginf(), -torch.inf)
