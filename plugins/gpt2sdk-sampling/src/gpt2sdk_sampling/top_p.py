"""Top-p: only the nucleus of the distribution stays."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float64
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    PerRowTensor,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    TokenId,
    Tokens,
    check_ids,
)
from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.min_tokens_to_keep import MinTokensToKeep, weakest
from gpt2sdk_sampling.nucleus import reach
from gpt2sdk_sampling.nucleus_edge import nucleus_edge
from gpt2sdk_sampling.parts import parts

_LEAST_MASS = 1e-6
# The search is for masses below 1; what it finds for this one is not used.
_ALMOST_ALL = 1.0 - 1e-9


class TopP(LogitsProcessor):
    """Keeps the smallest set of likeliest tokens that holds the mass `p`.

    The token with which the sum reaches `p` is the last one kept, so there is always one, and the
    `min_tokens_to_keep` likeliest stay in any case; tokens of equal logits stay or go together. The
    sum is in float64: where it meets `p` to the last bits, transformers' float32 sum may keep one
    token more or less.

    With a `top_p_decay` below 1 a row's `p` is multiplied by it at each new token, down to
    `top_p_min`, and is `top_p` again behind one of `top_p_reset_ids`, as in TensorRT-LLM: facts
    need less randomness the further a sentence gets.

    Holtzman et al., "The curious case of neural text degeneration", 2019, arXiv:1904.09751. The
    decay: Lee et al., "Factuality enhanced language models for open-ended text generation", 2022,
    arXiv:2206.04624.

    Example:
        >>> from gpt2sdk.testing import make_rows, process, reweigh
        >>> reweigh(TopP(top_p=0.7), [0.5, 0.3, 0.15, 0.05])
        [0.625, 0.375, 0.0, 0.0]
        >>> reweigh(TopP(top_p=0.0), [0.5, 0.3, 0.15, 0.05])
        [1.0, 0.0, 0.0, 0.0]
        >>> reweigh(TopP(top_p=0.0, min_tokens_to_keep=2), [0.5, 0.3, 0.15, 0.05])
        [0.625, 0.375, 0.0, 0.0]

        After two tokens `p` is 0.2, and if the second one was token 1 it is 0.8 again.

        >>> decaying = TopP(top_p=0.8, top_p_decay=0.5, top_p_reset_ids=[1])
        >>> logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]] * 2).log()
        >>> rows = make_rows([[0, 2, 2], [0, 2, 1]], prompt_lengths=[1, 1])
        >>> process(decaying, logits, rows).isfinite().sum(-1).tolist()
        [1, 2]

    Raises:
        OptionError: `top_p_min` is above `top_p`, or there is nothing that decays, or a token of
            `top_p_reset_ids` does not exist.
    """

    stage: ClassVar[Stage] = Stage.TRUNCATE
    rank: ClassVar[int] = 30

    top_p: Annotated[
        float, Field(ge=0.0, le=1.0, description="Probability mass that stays; 1 is off.")
    ] = 1.0
    top_p_decay: Annotated[
        float,
        Field(gt=0.0, le=1.0, description="What the mass is multiplied by at each token."),
    ] = 1.0
    top_p_min: Annotated[
        float, Field(ge=0.0, le=1.0, description="Where a decaying mass stops falling.")
    ] = _LEAST_MASS
    top_p_reset_ids: Annotated[
        tuple[TokenId, ...], Field(description="Tokens behind which the mass is whole again.")
    ] = ()
    min_tokens_to_keep: MinTokensToKeep = 1

    @model_validator(mode="after")
    def _check_decay(self) -> "TopP":
        decays = self.top_p_decay < 1.0
        if decays and self.top_p_min > self.top_p:
            raise ValueError("expects top_p_min up to top_p")
        if not decays and (self.top_p_reset_ids or self.top_p_min != _LEAST_MASS):
            raise ValueError("has top_p_min and top_p_reset_ids for a top_p_decay below 1")
        return self

    @override
    def is_on(self) -> bool:
        return self.top_p < 1.0 or self.top_p_decay < 1.0

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.top_p_decay == 1.0:
            return self
        check_ids(self.top_p_reset_ids, session, "top_p_reset_ids")
        first = torch.tensor(self.top_p, dtype=torch.float64, device=session.device)
        resets = torch.tensor(self.top_p_reset_ids, dtype=torch.int64, device=session.device)

        def accept(
            masses: Float64[Tensor, " rows"], tokens: Tokens, _: Logits | None
        ) -> Float64[Tensor, " rows"]:
            fallen = (masses * self.top_p_decay).clamp(min=self.top_p_min)
            return torch.where(torch.isin(tokens, resets), first, fallen)

        return _Run(session.per_row_tensor(lambda _: first, accept), self.min_tokens_to_keep)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.top_p == 1.0:
            return logits
        least = self.min_tokens_to_keep
        return torch.cat([_nucleus(part, self.top_p, least) for (part,) in parts(logits)])


@dataclass(frozen=True)
class _Run:
    """The mass of each row, which decays."""

    masses: PerRowTensor
    min_tokens_to_keep: int

    def process(self, logits: Logits, rows: Rows) -> Logits:
        masses = self.masses[rows][:, None]
        below = masses.clamp(max=_ALMOST_ALL)
        least = self.min_tokens_to_keep
        cut = [_nucleus(part, mass, least) for part, mass in parts(logits, below)]
        return torch.where(masses < 1.0, torch.cat(cut), logits)


def _nucleus(logits: Logits, mass: float | Float64[Tensor, "rows 1"], least: int) -> Logits:
    """Keep the nucleus of this mass, the same for all rows or one for each."""
    if logits.device.type == "cpu" and not logits.requires_grad:
        edge = nucleus_edge(logits, mass)
        return cut_below(logits, torch.minimum(edge, weakest(logits, least)) if least > 1 else edge)
    best = logits.amax(-1, keepdim=True)
    distance = best - logits
    cut = reach(distance, (-distance).exp(), mass)
    if least > 1:
        cut = torch.maximum(cut, best - weakest(logits, least))
    return logits.masked_fill(distance > cut, -torch.inf)
