"""The model's matrices, plain or packed.

A packed `Linear` holds the blocked copy only; whoever asks for its `weight` gets the plain one
back (docs/decisions/0008-packed-weights.md).
"""

from collections.abc import Callable, MutableMapping
from threading import RLock
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk.gpt2.packed import PackedProduct, pack


class Linear(nn.Linear):
    """`x Wᵀ + b` with W stored `[out, in]`; its values are left unset for who builds it.

    While it is packed, the parameter `weight` keeps its identity, shape and type, but holds no
    numbers (one NaN, expanded): reading the attribute `weight`, computing gradients, loading and
    moving unpack first.

    Attributes:
        packed: The blocked copy; `None` while the plain matrix is held. Set by `pack` and `unpack`.
    """

    packed: PackedProduct | None = None
    # Held while the form is exchanged: any thread may look at a matrix.
    _exchange: ClassVar = RLock()

    @override
    def reset_parameters(self) -> None:
        """Leave the values unset: the model draws or loads them all at once."""

    def pack(self) -> PackedProduct | None:
        """Exchange the plain matrix for a blocked copy, where that is faster, and return it."""
        with self._exchange:
            if self.packed is None:
                plain = self._plain()
                self.packed = pack(plain, self.bias)
                if self.packed is not None:
                    plain.data = torch.full((), torch.nan, dtype=plain.dtype).expand(plain.shape)
            return self.packed

    def unpack(self) -> None:
        """Exchange the blocked copy for the plain matrix, bit for bit as it was."""
        if self.packed is None:
            return
        with self._exchange:
            if self.packed is not None:
                self._plain().data = self.packed.dense()
                self.packed = None

    def _plain(self) -> nn.Parameter:
        return cast("nn.Parameter", self._parameters["weight"])

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        packed = self.packed
        if packed is not None and not torch.is_grad_enabled():
            return packed(input)
        return functional.linear(input, self.weight, self.bias)

    # Reached for parameters only, which are not in the instance's dictionary; an absent bias is
    # one that is None, which torch's annotation leaves out.
    @override
    def __getattr__(self, name: str) -> Tensor | nn.Module | None:  # type: ignore[override]
        if name == "weight":
            self.unpack()
        return super().__getattr__(name)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        self.unpack()
        module: nn.Module = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return module

    @override
    def _save_to_state_dict(
        self, destination: MutableMapping[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        with self._exchange:
            super()._save_to_state_dict(destination, prefix, keep_vars)
            if self.packed is not None:
                destination[f"{prefix}weight"] = self.packed.dense()

    @override
    def _load_from_state_dict(self, *arguments: object) -> None:
        self.unpack()
        super()._load_from_state_dict(*arguments)

    @override
    def __getstate__(self) -> dict[str, object]:
        self.unpack()
        return self.__dict__.copy()
