"""From the residual stream to logits: the table of tokens, read backwards."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


@runtime_checkable
class Table(Protocol):
    """What a tied head reads: a table of tokens, plain, quantized or with adapters."""

    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return each vector's product with every entry."""


class Embedding(nn.Embedding):
    """A table of vectors; its values are left unset for who builds it.

    Another module in its place, such as a quantized table, needs the same two calls.
    """

    @override
    def reset_parameters(self) -> None:
        """Leave the values unset: the model draws or loads them all at once."""

    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return each vector's product with every entry: the logits of a tied model."""
        return functional.linear(x, self.weight)


class TiedHead(nn.Module):
    """The head of a model whose input and output share their table (Press and Wolf, 2017).

    It has no weights: it is a place to look at logits. See arXiv:1608.05859.
    """

    @override
    def forward(
        self, x: Float[Tensor, "*places embed"], embedding: Table
    ) -> Float[Tensor, "*places vocab"]:
        return embedding.attend(x)
