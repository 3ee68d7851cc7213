"""Modules with adapters beside them: what they return, plus what each adapter adds."""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk import OptionError, Quantized, QuantizedLinear, QuantizedTable
from gpt2sdk.gpt2 import GPT2, Linear, Table, TiedHead
from gpt2sdk_train.adapter_part import AdapterPart, bias, matrix
from gpt2sdk_train.module_layout import ModuleLayout

PLAIN = (nn.Linear, QuantizedLinear, nn.Embedding, QuantizedTable, nn.LayerNorm, TiedHead)
"""What may have adapters beside it."""


class Adapted(nn.Module):
    """A matrix or norm with adapters.

    Beside a quantized matrix this is QLoRA (Dettmers et al., 2023, arXiv:2305.14314).

    Attributes:
        base: The module, unchanged.
        adapters: The adapters' parts, by the adapters' names.
    """

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.adapters = nn.ModuleDict()

    @property
    def parts(self) -> dict[str, AdapterPart]:
        """The adapters' parts, by the adapters' names."""
        return {name: part for name, part in self.adapters.items() if isinstance(part, AdapterPart)}

    @property
    def weight(self) -> Tensor:
        """The module's own values."""
        return matrix(self.base)

    @property
    def bias(self) -> Tensor | None:
        """The module's own bias, if it has one."""
        return bias(self.base)

    @override
    def forward(self, x: Tensor) -> Tensor:
        before: Tensor = self.base(x)
        return self._sum(x, before, self.base)

    def _sum(self, x: Tensor, before: Tensor, base: nn.Module) -> Tensor:
        total = before
        for part in self.parts.values():
            total = total + _scaled(part(x, before, base), part.scale).to(total.dtype)
        return total

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """Return a module of the base's kind that does what this one does.

        Raises:
            OptionError: If it is quantized: adding to it would round the adapter away.
        """
        _refuse_quantized(self.base)
        made = deepcopy(self.base)
        for name, parameter in made.named_parameters():
            value = parameter.float()
            for part in self.parts.values():
                deltas = part.deltas(self.base)
                if name in deltas:
                    value = value + deltas[name] * part.scale
            parameter.data = value.to(parameter.dtype)
        return made.requires_grad_(requires_grad=False).train(self.training)


class AdaptedTable(Adapted):
    """A table with adapters; those of its input only do nothing where it is read as the head."""

    @property
    def head_is_its_own(self) -> bool:
        """Whether a head tied to it does not see all that the adapters change."""
        return any(part.head_delta(self.base) is None for part in self.parts.values())

    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return each vector's product with every entry: the logits of a tied model."""
        total = before = _attend(self.base, x)
        for part in self.parts.values():
            change = part.attend(x, before)
            if change is not None:
                total = total + _scaled(change, part.scale).to(total.dtype)
        return total


class AdaptedHead(Adapted, TiedHead):
    """The head of a model that reads its table of tokens, with adapters of its own."""

    @override
    def forward(  # type: ignore[override]  # it is called with the table, as every tied head is
        self, x: Float[Tensor, "*places embed"], embedding: nn.Module
    ) -> Float[Tensor, "*places vocab"]:
        return self._sum(x, _attend(embedding, x), plain(embedding))


def adapt(module: nn.Module) -> Adapted:
    """Put a module into one that has room for adapters."""
    kind = Adapted
    if isinstance(module, nn.Embedding | QuantizedTable):
        kind = AdaptedTable
    elif isinstance(module, TiedHead):
        kind = AdaptedHead
    return kind(module).train(module.training)


def head_matrix(model: GPT2) -> Float[Tensor, "vocab embed"]:
    """Return what logits are products with, adapters included."""
    head, table = model.lm_head, model.wte
    owner: nn.Module = table if isinstance(head, TiedHead) else head
    base = plain(owner)
    values = matrix(base)
    for adapted in dict.fromkeys((owner, head)):
        for part in adapted.parts.values() if isinstance(adapted, Adapted) else ():
            of_table = isinstance(adapted, AdaptedTable)
            change = part.head_delta(base) if of_table else part.deltas(base)["weight"]
            if change is not None:
                values = values + change * part.scale
    return values


def check_mergeable(layout: ModuleLayout) -> None:
    """Make sure that merging needs no head apart from a table that it shares.

    Raises:
        OptionError: If it does.
    """
    table, head = (layout.root.get_submodule(path) for path in (layout.table, layout.head))
    apart = isinstance(table, AdaptedTable) and table.head_is_its_own
    if layout.tied and (apart or isinstance(head, Adapted)):
        raise OptionError(
            f"{layout.table} and {layout.head} share their numbers, and the adapters change one of "
            "them only, which a folder of this kind has no place for: use them unmerged",
            name="adapter",
        )


def separate_head(model: GPT2) -> Linear | None:
    """Return a head of its own for a tied model whose adapters tell head and table apart.

    `None` where they do not.

    Raises:
        OptionError: If the table is quantized.
    """
    table, head = model.wte, model.lm_head
    apart = isinstance(table, AdaptedTable) and table.head_is_its_own
    if not isinstance(head, TiedHead) or not (apart or isinstance(head, AdaptedHead)):
        return None
    _refuse_quantized(plain(table))
    values = head_matrix(model).detach()
    own = Linear(values.shape[1], values.shape[0], bias=False, device=values.device)
    own.weight.data = values.to(matrix(plain(table)).dtype, copy=True)
    own.requires_grad_(requires_grad=False)
    return own.train(head.training)


def plain(module: nn.Module) -> nn.Module:
    """Return a module without its adapters."""
    return module.base if isinstance(module, Adapted) else module


def _scaled(change: Tensor, scale: float) -> Tensor:
    return change if scale == 1.0 else change * scale


def _attend(table: nn.Module, x: Tensor) -> Tensor:
    if not isinstance(table, Table):
        message = f"{type(table).__name__} is no table that a head can read"
        raise TypeError(message)
    return table.attend(x)


def _refuse_quantized(base: nn.Module) -> None:
    if isinstance(base, Quantized):
        raise OptionError(
            "adapters cannot be merged into quantized matrices: load the model without "
            "quantization, load the adapter, and merge it there",
            name="quantization",
        )
