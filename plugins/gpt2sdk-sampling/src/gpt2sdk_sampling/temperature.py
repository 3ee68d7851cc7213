"""Temperature: how far likely tokens stand out."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage

# Logits in float32 that differ at all differ by 1e-7 of their size, so at this temperature only
# exact ties could still be drawn; smaller ones would overflow to infinity.
_COLDEST = 1e-6


class Temperature(LogitsProcessor):
    """Divides the logits: `z_i / T`, which turns `p_i` into `p_i ** (1 / T)`, renormalised.

    Below 1 likely tokens gain, above 1 they lose. At 0 (and below 1e-6) only the best token is
    kept, the one with the lowest id where several are equal.

    Ackley, Hinton and Sejnowski, "A learning algorithm for Boltzmann machines", 1985,
    doi:10.1207/s15516709cog0901_7. transformers refuses 0 and whole numbers, vLLM raises
    temperatures below 0.01 to it.

    Example:
        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(Temperature(temperature=0.5), [0.75, 0.25])  # 9 : 1
        [0.9, 0.1]
        >>> reweigh(Temperature(temperature=0.0), [0.4, 0.4, 0.2])
        [1.0, 0.0, 0.0]
    """

    stage: ClassVar[Stage] = Stage.TEMPERATURE

    temperature: Annotated[
        float,
        Field(ge=0.0, description="What logits are divided by; 1 is off, 0 keeps the best token."),
    ] = 1.0

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.temperature < _COLDEST:
            best = logits.argmax(-1, keepdim=True)
            return torch.full_like(logits, -torch.inf).scatter(1, best, logits.gather(1, best))
        return logits / self.temperature
