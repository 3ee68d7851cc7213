"""What an adapter does to one module of a model."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk import Quantized, QuantizedLinear
from gpt2sdk.gpt2 import Adjustable, Packable


class AdapterPart(nn.Module, Adjustable):
    """One adapter's part in one module: something is added to what the module returns.

    The module stays as it is and is told at each call, so a quantized one serves as well.

    Attributes:
        scale: How strongly it acts: 1 is as it was trained, 0 not at all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = 1.0

    @property
    @override
    def setting(self) -> float:
        """Its scale: keys and values that were read with another one are not used again."""
        return self.scale

    @abstractmethod
    @override
    def forward(self, x: Tensor, before: Tensor, base: nn.Module) -> Tensor:
        """Return what is added, at scale 1, to `before`, which the module `base` made of `x`."""

    def attend(self, x: Tensor, before: Tensor) -> Tensor | None:
        """Return what is added where a tied table is read as the head; `None` for nothing."""
        del x, before
        return None

    @abstractmethod
    def deltas(self, base: nn.Module) -> dict[str, Tensor]:
        """Return what `forward` adds as changes of the parameters of `base`, by name."""

    def head_delta(self, base: nn.Module) -> Tensor | None:
        """Return what `attend` adds as a change of the table's values; `None` for nothing."""
        del base
        return None

    @abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """Return its tensors by what PEFT appends to the module's name."""

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """The shapes of what is stored."""
        return {suffix: tensor.shape for suffix, tensor in self.stored().items()}

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Return all that decides a step of training besides its values, as JSON has it."""

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over tensors as `stored` returns them."""
        for suffix, tensor in self.stored().items():
            tensor.copy_(tensors[suffix])


class Several(AdapterPart):
    """Several parts of one adapter in one module, such as LoRA and a new bias."""

    def __init__(self, parts: Iterable[AdapterPart]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    @override
    def forward(self, x: Tensor, before: Tensor, base: nn.Module) -> Tensor:
        return _total([part(x, before, base) for part in self._parts()])

    @override
    def attend(self, x: Tensor, before: Tensor) -> Tensor | None:
        found = [part.attend(x, before) for part in self._parts()]
        return _total_of_any(found)

    @override
    def deltas(self, base: nn.Module) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for part in self._parts():
            for name, delta in part.deltas(base).items():
                found[name] = found[name] + delta if name in found else delta
        return found

    @override
    def head_delta(self, base: nn.Module) -> Tensor | None:
        return _total_of_any([part.head_delta(base) for part in self._parts()])

    @override
    def stored(self) -> dict[str, Tensor]:
        return {suffix: each for part in self._parts() for suffix, each in part.stored().items()}

    @override
    def describe(self) -> dict[str, object]:
        return {name: each for part in self._parts() for name, each in part.describe().items()}

    def _parts(self) -> list[AdapterPart]:
        return [part for part in self.parts if isinstance(part, AdapterPart)]


def matrix(base: nn.Module) -> Tensor:
    """Return a module's matrix or table, in float32 where it is quantized."""
    if isinstance(base, Quantized):
        return base.dequantize()
    # A head that reads the table has no matrix of its own, and shows the table's.
    return base.dense() if isinstance(base, Packable) else cast("Tensor", base.weight)


def bias(base: nn.Module) -> Tensor | None:
    """Return a module's bias, if it has one."""
    if isinstance(base, QuantizedLinear):
        return base.bias
    return dict(base.named_parameters(recurse=False)).get("bias")


def _total(tensors: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, tensors)


def _total_of_any(tensors: Iterable[Tensor | None]) -> Tensor | None:
    found = [tensor for tensor in tensors if tensor is not None]
    return _total(found) if found else None
