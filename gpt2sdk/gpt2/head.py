"""From the residual stream to logits: the table of tokens, read backwards."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk.gpt2.linear import Packed, pack

_ROWS_AT_ONCE = 1024


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


class PackedHead:
    """Logits in float32, from a blocked copy of the head's matrix.

    The matrix itself stays where it is, since tokens are looked up in it. The logits of GPT-2 have
    a common offset of −30 to −100, where bfloat16 tells only quarters and halves apart. For 16-bit
    weights the mean row μ is therefore taken out before packing and x·μ added in float32.

    Attributes:
        weight: What was packed.
    """

    def __init__(self, weight: Tensor, packed: Packed, mean: Tensor | None) -> None:
        self.weight = weight
        self._packed = packed
        self._mean = mean
        self._state = _state(weight)

    @classmethod
    def pack(cls, weight: Float[Tensor, "vocab embed"]) -> "PackedHead | None":
        """Pack a head; `None` where nothing is gained, as for `linear.pack`."""
        with torch.inference_mode(mode=False), torch.no_grad():
            plain, mean = weight.detach(), None
            if weight.dtype == torch.bfloat16:
                mean, plain = _centred(plain)
            packed = pack(plain)
        return None if packed is None else cls(weight, packed, mean)

    @property
    def current(self) -> bool:
        """Whether the matrix was not written to since."""
        return self._state == _state(self.weight)

    def __call__(self, x: Float[Tensor, "positions embed"]) -> Float[Tensor, "positions vocab"]:
        """Return each position's logits."""
        logits = self._packed(x)
        if self._mean is None:
            return logits
        return torch.add(logits, torch.mv(x.float(), self._mean)[:, None])


def _centred(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean row in float32, and the rows less it; no float32 copy of all is made."""
    starts = range(0, len(weight), _ROWS_AT_ONCE)
    total = torch.zeros(weight.shape[1])
    for start in starts:
        total += weight[start : start + _ROWS_AT_ONCE].float().sum(dim=0)
    mean = total / len(weight)
    centred = torch.empty_like(weight)
    for start in starts:
        rows = slice(start, start + _ROWS_AT_ONCE)
        centred[rows] = weight[rows].float() - mean
    return mean, centred


def _state(weight: Tensor) -> tuple[int, int]:
    """Return what changes when a tensor is written to, or given other memory."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version  # noqa: SLF001
