"""An ensemble: several models' distributions, multiplied or averaged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import (
    CALLER_ONLY_RULE,
    Logits,
    LogitsProcessor,
    Mirror,
    OptionError,
    ProcessorRun,
    Rows,
    Session,
    Stage,
)
from gpt2sdk_contrast.second_model import SecondModel, example_model, second_model

Operation = Literal["product", "mean"]


class Ensemble(LogitsProcessor):
    """Mixes the distributions of several models with that of the row.

    `product`: `p ~ prod_i p_i ** w_i`, the geometric mean, in which each model can veto a token.
    `mean`: `p = sum_i w_i p_i`, in which each can bring one in. The models read the same tokens;
    weights are divided by their sum, and are equal by default. What comes out are log-probabilities
    of a distribution. A token that is out for the row stays out.

    Weighted products of experts: Hinton, "Products of experts", 1999. As a processor it mixes at
    every token, as `product` with local normalisation of genlm-control; that library's global
    ensembles, which weigh whole texts, are sampled by particles.

    Raises:
        OptionError: A model's tokens are not those of the session's model, or there are not as
            many weights as models, the session's own included.

    Example:
        With equal weights the product of (0.5, 0.5) and (0.8, 0.2) is as 2 : 1.

        >>> logprobs = [torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.8, 0.2]]).log()]
        >>> mix(logprobs, [0.5, 0.5], "product").exp()
        tensor([[0.6667, 0.3333]])
        >>> mix(logprobs, [0.5, 0.5], "mean").exp()
        tensor([[0.6500, 0.3500]])
    """

    stage: ClassVar[Stage] = Stage.GUIDANCE
    rank: ClassVar[int] = -1

    ensemble: Annotated[
        tuple[SecondModel, ...],
        CALLER_ONLY_RULE,
        Field(description="The other models: each a model, a Generator, or a name or folder."),
    ] = ()
    ensemble_op: Annotated[
        Operation, Field(description="Multiply the distributions, or average them.")
    ] = "product"
    ensemble_weights: Annotated[
        tuple[Annotated[float, Field(gt=0.0)], ...] | None,
        Field(description="Weights, the model's own first; None for equal ones."),
    ] = None

    @classmethod
    @override
    def example_options(cls) -> dict[str, object]:
        return {"ensemble": (example_model(),)}

    @override
    def start(self, session: Session) -> ProcessorRun:
        count = 1 + len(self.ensemble)
        weights = self.ensemble_weights or (1.0,) * count
        if len(weights) != count:
            what = f"{count} weights: the model's own, and one for each of {count - 1} others"
            raise OptionError(
                f"ensemble_weights has {len(weights)}, expected {what}",
                name="ensemble_weights",
                value=weights,
                expected=what,
            )
        mirrors = [
            session.mirror(lambda prompt: prompt.tokens, second_model(each, session, "ensemble"))
            for each in self.ensemble
        ]
        total = math.fsum(weights)
        return _Run([each / total for each in weights], mirrors, self.ensemble_op)


@dataclass(frozen=True)
class _Run:
    """An ensemble at work: weights, the other models' branches, and what is done with them."""

    weights: Sequence[float]
    mirrors: Sequence[Mirror]
    operation: Operation

    def process(self, logits: Logits, rows: Rows) -> Logits:
        if not self.mirrors:
            return logits
        others = [mirror.next_logits(rows).to(logits.device) for mirror in self.mirrors]
        logprobs = [each.log_softmax(-1) for each in (logits, *others)]
        mixed = mix(logprobs, self.weights, self.operation)
        # A row without tokens has no mixture: its log_softmax is NaN.
        return mixed.where(logits.isfinite(), logits)


def mix(logprobs: Sequence[Logits], weights: Sequence[float], operation: Operation) -> Logits:
    """Return the log-probabilities of the mixture; the first distribution's `-inf` stay.

    A row whose models agree on no token keeps the first distribution.
    """
    stacked = torch.stack(list(logprobs))
    scale = torch.tensor(weights, device=stacked.device)[:, None, None]
    if operation == "mean":
        mixed = (stacked + scale.log()).logsumexp(0)
    else:
        mixed = (stacked * scale).sum(0)
    mixed = mixed.where(stacked[0].isfinite(), -torch.inf)
    agreed = mixed.isfinite().any(-1, keepdim=True)
    return mixed.where(agreed, stacked[0]).log_softmax(-1)
