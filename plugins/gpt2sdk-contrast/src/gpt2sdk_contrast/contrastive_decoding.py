"""Contrastive decoding: what a strong model thinks likelier than a weak one does."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Mirror, ProcessorRun, Rows, Session, Stage
from gpt2sdk_contrast.plausible import plausible
from gpt2sdk_contrast.second_model import SecondModel, second_model


class ContrastiveDecoding(LogitsProcessor):
    """Subtracts what a weaker model expects: `(1 + beta) * e - beta * a`.

    `e` are the log-probabilities of the row, `a` those of the amateur after the same tokens.
    Tokens less likely than `alpha` times the row's likeliest are out, since the amateur's errors
    would promote them; the likeliest never is. What comes out is not normalised.

    This is the form of O'Brien and Lewis, "Contrastive decoding improves reasoning in large
    language models", 2023, arXiv:2309.09117, whose defaults these are. The objective of Li et al.,
    "Contrastive decoding: open-ended text generation as optimization", 2022, arXiv:2210.15097,
    `e - a / t`, ranks tokens as this one does where `1 / t = beta / (1 + beta)`: with `beta=1` for
    t = 2, and the nearer to t = 1, the larger beta. They search with beams: `strategy="beam"`.

    Raises:
        OptionError: The amateur's tokens are not those of the model.

    Example:
        Both tokens are as likely as the best; the amateur expects the first one 3 : 1, so that
        even odds become 0.5 ** 2 / 0.75 : 0.5 ** 2 / 0.25.

        >>> e, a = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log()
        >>> contrast(e, a, alpha=0.1, beta=1.0).exp()
        tensor([[0.3333, 1.0000]])
    """

    stage: ClassVar[Stage] = Stage.GUIDANCE
    rank: ClassVar[int] = 1

    amateur_model: Annotated[
        SecondModel | None,
        Field(description="The weaker model: a model, a Generator, or a name or folder."),
    ] = None
    contrastive_alpha: Annotated[
        float,
        Field(gt=0.0, le=1.0, description="Share of the best token's probability to stay above."),
    ] = 0.1
    contrastive_beta: Annotated[
        float, Field(ge=0.0, description="How much of the amateur is subtracted.")
    ] = 0.5

    @override
    def start(self, session: Session) -> ProcessorRun:
        if self.amateur_model is None:
            return self
        amateur = second_model(self.amateur_model, session, "amateur_model")
        mirror = session.mirror(lambda prompt: prompt.tokens, amateur)
        return _Run(self.contrastive_alpha, self.contrastive_beta, mirror)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


@dataclass(frozen=True)
class _Run:
    """The contrast at work, and the amateur's branch."""

    alpha: float
    beta: float
    amateur: Mirror

    def process(self, logits: Logits, rows: Rows) -> Logits:
        amateur = self.amateur.next_logits(rows).to(logits.device)
        return contrast(logits, amateur, alpha=self.alpha, beta=self.beta)


def contrast(logits: Logits, amateur: Logits, *, alpha: float, beta: float) -> Logits:
    """Return `(1 + beta) * e - beta * a` of log-probabilities, where the row's are plausible."""
    row, other = logits.log_softmax(-1), amateur.log_softmax(-1)
    moved = (row + beta * (row - other)).where(other.isfinite(), row)
    return moved.where(plausible(row, alpha), -torch.inf)
