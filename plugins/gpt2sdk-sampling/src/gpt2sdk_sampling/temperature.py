"""Temperature: how far likely tokens stand out."""

import math
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float32
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.entropy import entropies

# Logits in float32 that differ at all differ by 1e-7 of their size, so at this temperature only
# exact ties could still be drawn; smaller ones would overflow to infinity.
_COLDEST = 1e-6


class Temperature(LogitsProcessor):
    """Divides the logits: `z_i / T`, which turns `p_i` into `p_i ** (1 / T)`, renormalised.

    Below 1 likely tokens gain, above 1 they lose. At 0 (and below 1e-6) only the best token is
    kept, the one with the lowest id where several are equal.

    With a `dynatemp_range` r the temperature follows the entropy: it is
    `max(0, T - r) + (T + r - max(0, T - r)) * (H / ln n) ** e`, with `H` the entropy in nats of
    the n tokens that are left, and `e` the `dynatemp_exponent`: colder where the model is sure. A
    single token is left as it is. llama.cpp measures the entropy behind the truncations, since its
    temperature comes last; there so in `processors=[…]`. text-generation-webui adds the entropies
    of a batch up, and takes the vocabulary for n; here and in llama.cpp tokens that are out do not
    count.

    Ackley, Hinton and Sejnowski, "A learning algorithm for Boltzmann machines", 1985,
    doi:10.1207/s15516709cog0901_7. transformers refuses 0 and whole numbers, vLLM raises
    temperatures below 0.01 to it. The dynamic temperature is llama.cpp's, after "kalomaze", 2023;
    compare Zhang et al., "EDT", 2024, arXiv:2403.14541.

    Example:
        >>> from gpt2sdk.testing import reweigh
        >>> reweigh(Temperature(temperature=0.5), [0.75, 0.25])  # 9 : 1
        [0.9, 0.1]
        >>> reweigh(Temperature(temperature=0.0), [0.4, 0.4, 0.2])
        [1.0, 0.0, 0.0]

        Four equal tokens have all the entropy there can be, so T is 1 + 0.5; two of four have half
        of it, so T is 1, and with the exponent 2 it is 0.75.

        >>> dynamic = Temperature(temperature=1.0, dynatemp_range=0.5, dynatemp_exponent=2.0)
        >>> logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, -300.0, -300.0]])
        >>> [round(each, 4) for each in dynamic.temperatures(logits)[:, 0].tolist()]
        [1.5, 0.75]

    Raises:
        OptionError: There is an exponent and no range.
    """

    stage: ClassVar[Stage] = Stage.TEMPERATURE

    temperature: Annotated[
        float,
        Field(ge=0.0, description="What logits are divided by; 1 is off, 0 keeps the best token."),
    ] = 1.0
    dynatemp_range: Annotated[
        float,
        Field(ge=0.0, description="How far the temperature may fall and rise; 0 is off."),
    ] = 0.0
    dynatemp_exponent: Annotated[
        float,
        Field(gt=0.0, description="Above 1 the temperature rises late with the entropy."),
    ] = 1.0

    @model_validator(mode="after")
    def _check_exponent(self) -> "Temperature":
        if self.dynatemp_range == 0.0 and self.dynatemp_exponent != 1.0:
            raise ValueError("has dynatemp_exponent for a dynatemp_range above 0")
        return self

    @override
    def is_on(self) -> bool:
        return self.temperature != 1.0 or self.dynatemp_range > 0.0

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        if self.dynatemp_range == 0.0:
            cold = self.temperature < _COLDEST
            return _best(logits) if cold else logits / self.temperature
        temperatures = self.temperatures(logits)
        divided = logits / temperatures.clamp(min=_COLDEST)
        if self.temperature - self.dynatemp_range >= _COLDEST:
            return divided
        return torch.where(temperatures < _COLDEST, _best(logits), divided)

    def temperatures(self, logits: Logits) -> Float32[Tensor, "rows 1"]:
        """Return what each row's logits are divided by."""
        low = max(0.0, self.temperature - self.dynatemp_range)
        high = self.temperature + self.dynatemp_range
        count = logits.isfinite().sum(-1, keepdim=True)
        nats, _ = entropies(logits)
        most = count.clamp(min=2).to(torch.float64).log()
        share = (nats / most).clamp(0.0, 1.0) ** self.dynatemp_exponent
        return torch.where(count > 1, low + (high - low) * share, 1.0).to(logits.dtype)


def _best(logits: Logits) -> Logits:
    """Keep the best token, the one with the lowest id where several are equal."""
    best = logits.argmax(-1, keepdim=True)
    return torch.full_like(logits, -math.inf).scatter(1, best, logits.gather(1, best))
