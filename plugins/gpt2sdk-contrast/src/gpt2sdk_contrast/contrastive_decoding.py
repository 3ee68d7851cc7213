"""Contrastive decoding: what a strong model thinks likelier than a weak one does."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from typing_extensions import override

from gpt2sdk import (
    CALLER_ONLY_RULE,
    Logits,
    LogitsProcessor,
    Mirror,
    ProcessorRun,
    Rows,
    Session,
    Stage,
)
from gpt2sdk_contrast.plausible import plausible
from gpt2sdk_contrast.second_model import SecondModel, example_model, second_model

_BETA = 0.5


class ContrastiveDecoding(LogitsProcessor):
    """Subtracts what a weaker model expects: `(1 + beta) * e - beta * a`.

    `e` are the log-probabilities of the row, `a` those of the amateur after the same tokens.
    Tokens less likely than `alpha` times the row's likeliest are out, since the amateur's errors
    would promote them; the likeliest never is. What comes out is not normalised.

    This is the form of O'Brien and Lewis, "Contrastive decoding improves reasoning in large
    language models", 2023, arXiv:2309.09117, whose defaults these are.

    With `amateur_temperature` it is that of Li et al., "Contrastive decoding: open-ended text
    generation as optimization", 2022, arXiv:2210.15097: `e - a_t`, where `a_t` are the amateur's
    log-probabilities at the temperature t, `log softmax(a / t)`. Their program's example has GPT-2
    at 0.5, and beams: `strategy="beam"`. The form above ranks tokens as theirs does at
    `t = (1 + beta) / beta`, which is above 1 for every beta. A token that the amateur rules out
    counts as its unlikeliest one there; in the form above it keeps `e`.

    Raises:
        OptionError: The amateur's tokens are not those of the model.

    Example:
        Both tokens are as likely as the best; the amateur expects the first one 3 : 1, so that
        even odds become 0.5 ** 2 / 0.75 : 0.5 ** 2 / 0.25.

        >>> e, a = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
        >>> contrast(e, a, alpha=0.1, beta=1.0).exp()
        tensor([[0.3333, 1.0000]])

        At a temperature of 0.5 the amateur expects it 9 : 1, and odds are 0.5 / 0.9 : 0.5 / 0.1.

        >>> contrast_at(e, a, alpha=0.1, temperature=0.5).exp()
        tensor([[0.5556, 5.0000]])
    """

    stage: ClassVar[Stage] = Stage.GUIDANCE
    rank: ClassVar[int] = 1

    amateur_model: Annotated[
        SecondModel | None,
        CALLER_ONLY_RULE,
        Field(description="The weaker model: a model, a Generator, or a name or folder."),
    ] = None
    contrastive_alpha: Annotated[
        float,
        Field(gt=0.0, le=1.0, description="Share of the best token's probability to stay above."),
    ] = 0.1
    contrastive_beta: Annotated[
        float, Field(ge=0.0, description="How much of the amateur is subtracted.")
    ] = _BETA
    amateur_temperature: Annotated[
        float | None,
        Field(
            gt=0.0,
            allow_inf_nan=False,
            description="Subtract the amateur at this temperature, and once, instead of beta.",
        ),
    ] = None

    @classmethod
    @override
    def example_options(cls) -> dict[str, object]:
        return {"amateur_model": example_model()}

    @model_validator(mode="after")
    def _check_form(self) -> "ContrastiveDecoding":
        if self.amateur_temperature is not None and self.contrastive_beta != _BETA:
            raise ValueError("has contrastive_beta or amateur_temperature, not both")
        return self

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.amateur_model is None:
            return self
        amateur = second_model(self.amateur_model, session, "amateur_model")
        mirror = session.mirror(lambda prompt: prompt.tokens, amateur)
        return _Run(self, mirror)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


@dataclass(frozen=True)
class _Run:
    """The contrast at work, and the amateur's branch."""

    options: ContrastiveDecoding
    amateur: Mirror

    def process(self, logits: Logits, rows: Rows) -> Logits:
        amateur = self.amateur.next_logits(rows).to(logits.device)
        alpha, temperature = self.options.contrastive_alpha, self.options.amateur_temperature
        if temperature is not None:
            return contrast_at(logits, amateur, alpha=alpha, temperature=temperature)
        return contrast(logits, amateur, alpha=alpha, beta=self.options.contrastive_beta)


def contrast(logits: Logits, amateur: Logits, *, alpha: float, beta: float) -> Logits:
    """Return `(1 + beta) * e - beta * a` of log-probabilities, where the row's are plausible."""
    row, other = logits.log_softmax(-1), amateur.log_softmax(-1)
    moved = (row + beta * (row - other)).where(other.isfinite(), row)
    return moved.where(plausible(row, alpha), -torch.inf)


def contrast_at(logits: Logits, amateur: Logits, *, alpha: float, temperature: float) -> Logits:
    """Return `e - a_t` of log-probabilities, where the row's are plausible."""
    row = logits.log_softmax(-1)
    # Shifted first, so that a small temperature leaves no infinity but those that were there.
    other = (amateur.log_softmax(-1).double() / temperature).log_softmax(-1)
    least = other.masked_fill(other.isneginf(), torch.inf).amin(-1, keepdim=True)
    moved = (row - torch.maximum(other, least)).to(row.dtype)
    return moved.where(plausible(row, alpha), -torch.inf)
