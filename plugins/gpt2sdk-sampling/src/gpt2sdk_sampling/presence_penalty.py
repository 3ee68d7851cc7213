"""Presence penalty: what was said once becomes less likely, for good."""

from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.history import put, said, uniform
from gpt2sdk_sampling.penalty_last_n import PenaltyLastN


class PresencePenalty(LogitsProcessor):
    """Subtracts the penalty from every token that was said: `z_i - q * [count_i > 0]`.

    Only the output counts, not the prompt, as in OpenAI's API and vLLM (llama.cpp and
    TensorRT-LLM count the prompt too); with `penalty_last_n` those of it that are among the
    row's last tokens, the prompt's included, as llama.cpp counts them.

    OpenAI, "API reference: create chat completion", 2023.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[0, 1, 1]], prompt_lengths=[1])
        >>> process(PresencePenalty(presence_penalty=0.5), [[3.0, 3.0, 3.0]], rows).tolist()
        [[3.0, 2.5, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 40

    presence_penalty: Annotated[
        float,
        Field(
            ge=-2.0,
            le=2.0,
            description="Taken from the logit of every token in the output, in nats; below 0 "
            "repeats become more likely.",
        ),
    ] = 0.0
    penalty_last_n: PenaltyLastN = -1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        tokens = uniform(rows, "output", self.penalty_last_n)
        if tokens is not None:
            return logits.scatter(1, tokens, logits.gather(1, tokens) - self.presence_penalty)
        tokens, inside = said(rows, "output", self.penalty_last_n)
        values = logits.gather(1, tokens) - self.presence_penalty
        return put(logits, tokens, values, inside, lower=self.presence_penalty > 0.0)
