"""Beam sampling: beam search whose candidates are drawn, each at most once."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk import Logits, Session, Step, strategy
from gpt2sdk_strategies.hypotheses import (
    Candidates,
    EarlyStopping,
    LengthPenalty,
    NumBeams,
    first,
    search,
)


@strategy(hold=None, rewinds=False, chooses=False)
def beam_sample(
    session: Session,
    *,
    num_beams: NumBeams = 4,
    length_penalty: LengthPenalty = 1.0,
    early_stopping: EarlyStopping = False,
) -> Iterator[Step]:
    """Draw which continuations to follow, and return the best of those that ended.

    It is `beam`, but for the candidates: of all one-token extensions of all beams, so many are
    drawn without replacement, each with a probability proportional to `exp` of its score (its log-
    probability so far) among those not drawn yet. They count in the order in which they are drawn.
    This is one race for each prompt: with `E` exponential of mean 1, a number for each beam and
    token, candidates come in by `score - log E`, descending (Gumbel-top-k; Vieira, 2014;
    Kool et al., 2019, arXiv:1903.06059). Completions compete by score, as in `beam`.

    With one beam, the first candidate is drawn as `sample` draws a token.

    Where we differ from transformers' `generate(num_beams=..., do_sample=True)`: it draws twice as
    many candidates as it follows, and follows the likeliest of them. Here those drawn first go on,
    so that they are a sample. Temperature and truncation act on each beam, as there.

    Raises:
        OptionError: More completions are asked for than there are beams.
    """

    def drawn(running: Float[Tensor, "prompts beams"], logprobs: Logits, count: int) -> Candidates:
        totals = running[:, :, None] + logprobs.view(*running.shape, -1)
        ids = torch.arange(logprobs.shape[1], device=logprobs.device)
        times = session.rows.exponentials(ids, "beam_sample")
        return first(totals - times.log().view_as(totals), totals, count)

    return search(
        session,
        drawn,
        num_beams=num_beams,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
    )
