"""Repetition penalty: what was said becomes less likely, by a factor on its logit."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.history import Scope, put, said, uniform
from gpt2sdk_sampling.penalty_last_n import PenaltyLastN


class RepetitionPenalty(LogitsProcessor):
    """Divides positive logits of tokens already said by `r`, and multiplies negative ones by it.

    Once per token, however often it was said. The result depends on where the logits' zero is, so
    it differs between logits and the log-probabilities that beams hand in.

    Keskar et al., "CTRL: A conditional transformer language model for controllable generation",
    2019, arXiv:1909.05858. As in transformers and vLLM the prompt counts; `output` leaves it out.
    With `penalty_last_n` only the row's last tokens do, as in llama.cpp, where it is 64 unless
    given. Those of the prompt are among the last ones with `output`, too: with few new tokens the
    window is not filled up.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0, 1, 1]], prompt_lengths=[1])
        >>> process(RepetitionPenalty(repetition_penalty=2.0), [[4.0, -1.0, 3.0]], rows).tolist()
        [[2.0, -2.0, 3.0]]
        >>> output = RepetitionPenalty(repetition_penalty=2.0, repetition_penalty_scope="output")
        >>> process(output, [[4.0, -1.0, 3.0]], rows).tolist()
        [[4.0, -2.0, 3.0]]
        >>> near = RepetitionPenalty(repetition_penalty=2.0, penalty_last_n=2)
        >>> process(near, [[4.0, -1.0, 3.0]], rows).tolist()
        [[4.0, -2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 20

    repetition_penalty: Annotated[
        float,
        Field(gt=0.0, description="Above 1 repeats become less likely, below 1 more; 1 is off."),
    ] = 1.0
    repetition_penalty_scope: Annotated[
        Scope, Field(description="Which tokens count: prompt and output (all), or output only.")
    ] = "all"
    penalty_last_n: PenaltyLastN = -1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        penalty = self.repetition_penalty
        tokens = uniform(rows, self.repetition_penalty_scope, self.penalty_last_n)
        if tokens is not None:
            # Equal tokens get equal values, so the order of writing is of no account.
            return logits.scatter(1, tokens, _penalised(logits.gather(1, tokens), penalty))
        tokens, inside = said(rows, self.repetition_penalty_scope, self.penalty_last_n)
        values = _penalised(logits.gather(1, tokens), penalty)
        return put(logits, tokens, values, inside, lower=penalty > 1.0)


def _penalised(
    logits: Float[Tensor, "rows places"], penalty: float
) -> Float[Tensor, "rows places"]:
    """Of the product and the quotient, that which is the less likely; the likelier below 1."""
    pick = torch.minimum if penalty > 1.0 else torch.maximum
    return pick(logits * penalty, logits / penalty)
