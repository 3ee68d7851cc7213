"""LoRA: what fine-tuning would add to a matrix, learned as the product of two thin ones.

Hu et al., 2021, "LoRA: low-rank adaptation of large language models", arXiv:2106.09685.
"""

from itertools import chain
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk import Component, OptionError, QuantizedLinear
from gpt2sdk_train.patterns import Patterns

Base = nn.Linear | QuantizedLinear
"""What may have adapters beside it."""


class LoRA(Component):
    """The size and place of an adapter.

    Example:
        >>> LoRA(rank=4, alpha=8.0).factor
        2.0
    """

    rank: Annotated[int, Field(ge=1, description="Columns of the thin matrices.")] = 8
    alpha: Annotated[
        float, Field(gt=0.0, description="What is added is scaled by alpha over the rank.")
    ] = 16.0
    rank_stabilized: Annotated[
        bool,
        Field(
            description="Scale by alpha over the rank's square root, which suits high ranks "
            "(Kalajdzievski, 2023, arXiv:2312.03732)."
        ),
    ] = False
    dropout: Annotated[
        float, Field(ge=0.0, lt=1.0, description="Dropout on the input, while training.")
    ] = 0.0
    targets: Annotated[
        Patterns,
        Field(
            min_length=1,
            description="The matrices, as patterns of modules' names: `*.attn.c_attn`, `h.0.*`.",
        ),
    ] = ("*.attn.c_attn",)
    base_model: Annotated[
        str | None,
        Field(description="What the model is called that it is for; for who loads the files."),
    ] = None

    @property
    def factor(self) -> float:
        """What the product of the two matrices is multiplied with."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilized else self.rank)


class LowRank(nn.Module):
    """One adapter's part in one matrix: `x ↦ scale · factor · (x Dᵀ) Uᵀ`.

    Attributes:
        down: D, `[rank, in]`; random at first.
        up: U, `[out, rank]`; 0 at first, so that a fresh adapter changes nothing.
        lora: Its sizes.
        scale: How strongly it acts; 1 is as it was trained.
    """

    def __init__(self, base: Base, lora: LoRA) -> None:
        super().__init__()
        device = next(chain(base.parameters(), base.buffers())).device
        self.down = nn.Parameter(torch.zeros(lora.rank, base.in_features, device=device))
        self.up = nn.Parameter(torch.zeros(base.out_features, lora.rank, device=device))
        self.dropout = nn.Dropout(lora.dropout)
        self.lora = lora
        self.scale = 1.0

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Draw D as PEFT does: uniformly between ±1/√in."""
        bound = self.down.shape[1] ** -0.5
        drawn = torch.empty(self.down.shape).uniform_(-bound, bound, generator=generator)
        self.down.copy_(drawn)

    def delta(self) -> Float[Tensor, "out in"]:
        """Return what it adds to the matrix."""
        return (self.up @ self.down) * (self.lora.factor * self.scale)

    @override
    def forward(self, x: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        thin = functional.linear(self.dropout(x).to(self.down.dtype), self.down)
        return functional.linear(thin, self.up) * (self.lora.factor * self.scale)


class AdaptedLinear(nn.Module):
    """A linear layer with adapters beside it: the layer's output plus each of theirs.

    Beside a quantized layer this is QLoRA (Dettmers et al., 2023, arXiv:2305.14314).

    Attributes:
        base: The layer, unchanged.
        adapters: The adapters, by name.
    """

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.base = base
        self.adapters = nn.ModuleDict()

    def part(self, name: str) -> LowRank | None:
        """Return an adapter's part in this layer; `None` if it has none."""
        found = self.adapters[name] if name in self.adapters else None  # noqa: SIM401 - it has no `get`
        return found if isinstance(found, LowRank) else None

    @override
    def forward(self, x: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        total: Tensor = self.base(x)
        for adapter in self.adapters.values():
            total = total + adapter(x).to(total.dtype)
        return total

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return a layer of the base's kind that does what this one does.

        Raises:
            OptionError: If the layer is quantized: adding to it would round the adapter away.
        """
        base = self.base
        if isinstance(base, QuantizedLinear):
            raise OptionError(
                "adapters cannot be merged into quantized matrices: load the model without "
                "quantization, load the adapter, and merge it there",
                name="quantization",
            )
        layer = type(base)(base.in_features, base.out_features, bias=base.bias is not None)
        layer.to(base.weight.device, base.weight.dtype)
        weight = base.weight.to(torch.float32, copy=True)
        for adapter in self.adapters.values():
            if isinstance(adapter, LowRank):
                weight += adapter.delta()
        layer.weight.copy_(weight)
        if base.bias is not None:
            layer.bias.copy_(base.bias)
        return layer.requires_grad_(requires_grad=False).train(self.training)
