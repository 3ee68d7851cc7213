"""An adapter's part in a matrix or a table: the product of two thin matrices.

Hu et al., 2021, "LoRA: low-rank adaptation of large language models", arXiv:2106.09685; with a
learned length of every column, Liu et al., 2024, "DoRA: weight-decomposed low-rank adaptation",
arXiv:2402.09353.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk_train.adapter_part import AdapterPart, bias, matrix
from gpt2sdk_train.lora import LoRA


class Factors(AdapterPart):
    """D and U, and for DoRA the lengths.

    With W the module's values, V = W + factor · U D and n the lengths of what V makes of each
    output, DoRA computes with m/n · V in place of V. n follows V, but has no gradient (section
    4.3 of the paper). At another scale than 1, the difference to W counts so much.

    Attributes:
        down: D; random at first.
        up: U; 0 at first, so that a fresh adapter changes nothing.
        magnitude: m, one number per output; `None` without DoRA.
        lora: Its sizes.
    """

    def __init__(self, lora: LoRA, inputs: int, outputs: int, device: torch.device) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.zeros(lora.rank, inputs, device=device))
        self.up = nn.Parameter(torch.zeros(outputs, lora.rank, device=device))
        lengths = nn.Parameter(torch.ones(outputs, device=device)) if lora.dora else None
        self.magnitude: nn.Parameter | None = lengths
        self.lora = lora
        self._lengths: tuple[object, Tensor] | None = None

    @torch.no_grad()
    def initialize(self, generator: torch.Generator, base: nn.Module) -> None:
        """Draw D as PEFT does, uniformly between ±1/√in, and take the lengths of W."""
        bound = self.down.shape[1] ** -0.5
        drawn = torch.empty(self.down.shape).uniform_(-bound, bound, generator=generator)
        self.down.copy_(drawn)
        if self.magnitude is not None:
            self.magnitude.copy_(self._measured(base))

    @override
    def describe(self) -> dict[str, object]:
        sizes = {"rank", "alpha", "rank_stabilized", "dropout", "dora"}
        return self.lora.model_dump(mode="json", include=sizes)

    @override
    def train(self, mode: bool = True) -> "Factors":
        self._lengths = None
        return super().train(mode)

    def _ratio(self, base: nn.Module, magnitude: Tensor) -> Float[Tensor, " out"]:
        """Return m/n; n is kept while nothing can have changed, since it takes all of W."""
        # A measurement for training is as good as the step is long.
        if self.training or torch.is_grad_enabled():
            return magnitude / self._measured(base)
        state = _state(self.down), _state(self.up)
        if self._lengths is None or self._lengths[0] != state:
            self._lengths = state, self._measured(base)
        return magnitude / self._lengths[1]

    def _measured(self, base: nn.Module) -> Float[Tensor, " out"]:
        with torch.inference_mode(mode=False), torch.no_grad():
            measured: Tensor = torch.linalg.norm(self._oriented(base) + self._product(), dim=1)
            return measured

    def _oriented(self, base: nn.Module) -> Float[Tensor, "out in"]:
        """Return W with a row for each output."""
        return matrix(base).float().to(self.up.device)

    def _product(self) -> Float[Tensor, "out in"]:
        return (self.up @ self.down) * self.lora.factor

    def _change(self, base: nn.Module) -> Float[Tensor, "out in"]:
        """Return what is added to W."""
        if self.magnitude is None:
            return self._product()
        ratio = self._ratio(base, self.magnitude)[:, None]
        plain = self._oriented(base)
        return ratio * (plain + self._product()) - plain


class LowRank(Factors):
    """An adapter's part in a matrix: `x ↦ factor · (x Dᵀ) Uᵀ`, D `[rank, in]`, U `[out, rank]`.

    Attributes:
        shift: What is added besides, times the factor (PEFT's `lora_bias`); `None` for nothing.
    """

    def __init__(
        self,
        lora: LoRA,
        inputs: int,
        outputs: int,
        device: torch.device,
        *,
        shifted: bool = False,
    ) -> None:
        super().__init__(lora, inputs, outputs, device)
        self.dropout = nn.Dropout(lora.dropout)
        shift = nn.Parameter(torch.zeros(outputs, device=device)) if shifted else None
        self.shift: nn.Parameter | None = shift

    @override
    def forward(
        self, x: Float[Tensor, "*places in"], before: Float[Tensor, "*places out"], base: nn.Module
    ) -> Float[Tensor, "*places out"]:
        dropped = self.dropout(x).to(self.down.dtype)
        added = functional.linear(functional.linear(dropped, self.down), self.up, self.shift)
        added = added * self.lora.factor
        if self.magnitude is None:
            return added
        ratio = self._ratio(base, self.magnitude)
        if self.training and self.dropout.p:
            plain = functional.linear(dropped, self._oriented(base))
        else:
            # What the matrix made is at hand, with its bias in it.
            constant = bias(base)
            plain = before if constant is None else before - constant
        return (ratio - 1) * plain + ratio * added

    @override
    def deltas(self, base: nn.Module) -> dict[str, Tensor]:
        found = {"weight": self._change(base)}
        return found if self.shift is None else found | {"bias": self.shift * self.lora.factor}

    @override
    def stored(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {"lora_A.weight": self.down, "lora_B.weight": self.up}
        if self.shift is not None:
            found["lora_B.bias"] = self.shift
        if self.magnitude is not None:
            found["lora_magnitude_vector"] = self.magnitude
        return found


class LowRankTable(Factors):
    """An adapter's part in a table: its vectors change, what a tied head makes of them does not.

    D is `[rank, entries]` and U `[embed, rank]`: the vector of entry i gets `factor · U D[:, i]`.
    """

    @override
    def forward(
        self, x: Int[Tensor, "*places"], before: Float[Tensor, "*places embed"], base: nn.Module
    ) -> Float[Tensor, "*places embed"]:
        added = functional.embedding(x, self.down.T) @ self.up.T * self.lora.factor
        if self.magnitude is None:
            return added
        ratio = self._ratio(base, self.magnitude)
        return (ratio - 1) * before + ratio * added

    @override
    def deltas(self, base: nn.Module) -> dict[str, Tensor]:
        return {"weight": self._change(base).T}

    @override
    def stored(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {"lora_embedding_A": self.down, "lora_embedding_B": self.up}
        if self.magnitude is not None:
            found["lora_magnitude_vector"] = self.magnitude
        return found

    @override
    def _oriented(self, base: nn.Module) -> Float[Tensor, "embed entries"]:
        return super()._oriented(base).T


def _state(tensor: Tensor) -> tuple[int, int]:
    """Return what changes when a tensor is written to, or given other memory."""
    return tensor.data_ptr(), tensor._version  # noqa: SLF001 - torch has no other name
