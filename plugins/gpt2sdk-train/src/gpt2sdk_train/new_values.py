"""Values of a module, or some rows of them, that an adapter brings along whole."""

from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from typing_extensions import override

from gpt2sdk_train.adapter_part import AdapterPart, bias, matrix


class NewValues(AdapterPart):
    """New parameters of a matrix, table or norm, in place of its own (PEFT's `modules_to_save`).

    Attributes:
        weight: The new matrix, table or factors; `None` leaves the module's.
        bias: The new bias; `None` leaves the module's, or there is none.
        tied: Of a table: whether the head sees the new values, too.
    """

    def __init__(self, weight: Tensor | None, bias: Tensor | None, *, tied: bool = False) -> None:
        super().__init__()
        self.tied = tied
        self.weight = None if weight is None else nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    @override
    def forward(self, x: Tensor, before: Tensor, base: nn.Module) -> Tensor:
        if self.weight is None:
            return self.deltas(base)["bias"]
        kept = bias(base) if self.bias is None else self.bias
        if self.weight.ndim == 1:
            given = {"weight": self.weight} | ({} if kept is None else {"bias": kept})
            # Whatever norm it is.
            new = cast("Tensor", functional_call(base, given, (x,)))
        elif not x.is_floating_point():
            new = functional.embedding(x, self.weight)
        else:
            new = functional.linear(x.to(self.weight.dtype), self.weight, kept)
        return new - before

    @override
    def attend(self, x: Tensor, before: Tensor) -> Tensor | None:
        if not self.tied or self.weight is None:
            return None
        return functional.linear(x.to(self.weight.dtype), self.weight) - before

    @override
    def head_delta(self, base: nn.Module) -> Tensor | None:
        return self.deltas(base)["weight"] if self.tied else None

    @override
    def deltas(self, base: nn.Module) -> dict[str, Tensor]:
        found = {}
        if self.weight is not None:
            found["weight"] = self.weight - matrix(base)
        if self.bias is not None:
            found["bias"] = self.bias - _known(bias(base))
        return found

    @override
    def stored(self) -> dict[str, Tensor]:
        both = {"weight": self.weight, "bias": self.bias}
        return {name: value for name, value in both.items() if value is not None}

    @override
    def describe(self) -> dict[str, object]:
        return {"replaces": list(self.stored())}


class NewRows(AdapterPart):
    """New vectors of some entries of a table (PEFT's `trainable_token_indices`).

    A tied head sees them, too.

    Attributes:
        rows: The vectors.
        entries: Whose they are.
    """

    entries: Tensor

    def __init__(self, entries: Int[Tensor, " some"], rows: Float[Tensor, "some embed"]) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows)
        self.register_buffer("entries", entries, persistent=False)

    @override
    def forward(
        self, x: Int[Tensor, "*places"], before: Float[Tensor, "*places embed"], base: nn.Module
    ) -> Float[Tensor, "*places embed"]:
        same = x[..., None] == self.entries
        new = self.rows[same.int().argmax(-1)]
        return torch.where(same.any(-1, keepdim=True), new - before, 0.0)

    @override
    def attend(
        self, x: Float[Tensor, "*places embed"], before: Float[Tensor, "*places vocab"]
    ) -> Float[Tensor, "*places vocab"]:
        new = functional.linear(x.to(self.rows.dtype), self.rows)
        change = torch.zeros_like(before, dtype=new.dtype)
        return change.index_copy(-1, self.entries, new - before[..., self.entries])

    @override
    def deltas(self, base: nn.Module) -> dict[str, Tensor]:
        table = matrix(base)
        change = torch.zeros_like(table, dtype=self.rows.dtype)
        return {"weight": change.index_copy(0, self.entries, self.rows - table[self.entries])}

    @override
    def head_delta(self, base: nn.Module) -> Tensor:
        return self.deltas(base)["weight"]

    @override
    def stored(self) -> dict[str, Tensor]:
        return {"token_adapter.trainable_tokens_delta": self.rows}

    @override
    def describe(self) -> dict[str, object]:
        return {"tokens": self.entries.tolist()}


def _known(value: Tensor | None) -> Tensor:
    if value is None:
        message = "a bias was brought along for a module that has none"
        raise TypeError(message)
    return value
