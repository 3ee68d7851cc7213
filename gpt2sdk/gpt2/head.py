"""From the residual stream to logits: the table of tokens, read backwards."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding, linear
from typing_extensions import override

from gpt2sdk.components.runner import PackedTable
from gpt2sdk.gpt2.packable import Packable


@runtime_checkable
class Table(Protocol):
    """What a tied head reads: a table of tokens, plain, quantized or with adapters."""

    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return each vector's product with every entry."""


class Embedding(Packable, nn.Embedding):
    """A table of vectors; its values are left unset for who builds it.

    Another module in its place, such as a quantized table, needs the same two calls.
    """

    @override
    def reset_parameters(self) -> None:
        """Leave the values unset: the model draws or loads them all at once."""

    @override
    def forward(self, input: Int[Tensor, "*places"]) -> Float[Tensor, "*places embed"]:
        packed, weight = self._held()
        return packed.rows(input) if isinstance(packed, PackedTable) else embedding(input, weight)

    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return each vector's product with every entry: the logits of a tied model."""
        packed, weight = self._held(x)
        return linear(x, weight) if packed is None else packed(x)


class TiedHead(nn.Module):
    """The head of a model whose input and output share their table (Press and Wolf, 2017).

    It has no weights: it is a place to look at logits. See arXiv:1608.05859.
    """

    @override
    def forward(
        self, x: Float[Tensor, "*places embed"], embedding: Table
    ) -> Float[Tensor, "*places vocab"]:
        return embedding.attend(x)
