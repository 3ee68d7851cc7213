"""Frequency penalty: every repeat makes a token less likely."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.history import said
from gpt2sdk_sampling.penalty_last_n import PenaltyLastN


class FrequencyPenalty(LogitsProcessor):
    """Subtracts the penalty once for each time a token was said: `z_i - f * count_i`.

    Only the output counts, not the prompt, as in OpenAI's API and vLLM (llama.cpp and
    TensorRT-LLM count the prompt too); with `penalty_last_n` those of it that are among the
    row's last tokens, the prompt's included, as llama.cpp counts them.

    OpenAI, "API reference: create chat completion", 2023.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0, 1, 1]], prompt_lengths=[1])
        >>> process(FrequencyPenalty(frequency_penalty=0.5), [[3.0, 3.0, 3.0]], rows).tolist()
        [[3.0, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 30

    frequency_penalty: Annotated[
        float,
        Field(
            ge=-2.0,
            le=2.0,
            description="Taken from a token's logit per occurrence in the output, in nats; "
            "below 0 repeats become more likely.",
        ),
    ] = 0.0
    penalty_last_n: PenaltyLastN = -1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        tokens, inside = said(rows, "output", self.penalty_last_n)
        counts = torch.zeros_like(logits).scatter_add_(1, tokens, inside.to(logits.dtype))
        return torch.sub(logits, counts, alpha=self.frequency_penalty)
