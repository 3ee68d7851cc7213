"""A model whose whole `score` is computed by the library."""

from array import array
from collections.abc import Sequence
from ctypes import c_void_p
from dataclasses import dataclass
from itertools import chain
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.gpt2 import Cache
from gpt2sdk_native.library import isa as chosen_isa
from gpt2sdk_native.library import kernels, library
from gpt2sdk_native.matrix import NativeMatrix

ACTIVATIONS = {
    "linear": 0,
    "gelu_accurate": 1,
    "gelu_fast": 1,
    "gelu_new": 1,
    "gelu_python_tanh": 1,
    "gelu_pytorch_tanh": 1,
    "gelu": 2,
    "gelu_python": 2,
    "gelu_10": 3,
    "quick_gelu": 4,
    "silu": 5,
    "swish": 5,
    "sigmoid": 6,
    "tanh": 7,
    "relu": 8,
    "relu2": 9,
    "relu6": 10,
    "leaky_relu": 11,
    "hardswish": 12,
}
"""The activations that the engine has, and their numbers in it."""


_LIKE = torch.empty(0)


@dataclass(frozen=True)
class Layer:
    """A block: its matrices with their biases, its norms, and how it attends.

    Attributes:
        matrices: Of queries, keys and values; back from the heads; the wide one; back from it.
        norms: Weight and bias before attention, then before the feed-forward layer; float32.
        heads: How many.
        scaling: What scores are multiplied with.
        activation: A key of `ACTIVATIONS`.
    """

    matrices: tuple[NativeMatrix, NativeMatrix, NativeMatrix, NativeMatrix]
    norms: tuple[Tensor, Tensor, Tensor, Tensor]
    heads: int
    scaling: float
    activation: str


@final
class NativeEngine:
    """Computes `score` calls of a model.

    Attributes:
        vocab: How many logits a position has.
        embed: Width of the residual stream.
        head: What makes logits.
        kernels: Which functions compute.
        isa: The name of the instruction set that they use.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        table: NativeMatrix,
        head: NativeMatrix,
        places: Float[Tensor, "positions embed"],
        norm: tuple[Tensor, Tensor],
        epsilon: float,
        *,
        isa: str | None = None,
    ) -> None:
        """Take weights over; all are kept, and none is copied but norms and positions.

        Args:
            layers: The blocks.
            table: The table of tokens.
            head: What makes logits: the table itself in a tied model.
            places: The table of positions.
            norm: The last norm's weight and bias.
            epsilon: Added to variances.
            isa: The instruction set; see `library.kernels`.

        Raises:
            MemoryError: If there is not enough.
        """
        self._calls = library()
        self._keep = list(layers), table
        self.head = head
        self.vocab, self.embed = table.shape
        self.kernels = kernels(isa)
        self.isa = chosen_isa(isa)
        ends = [_plain(each) for each in (places, *norm)]
        handle: int | None = self._calls.gpt2sdk_engine_new(
            self.kernels,
            len(layers),
            self.embed,
            self.vocab,
            len(places),
            epsilon,
            table.handle,
            head.handle,
            *(each.data_ptr() for each in ends),
        )
        if handle is None:
            raise MemoryError("no memory for norms and positions")
        self.handle = handle
        for index, layer in enumerate(layers):
            norms = [_plain(each) for each in layer.norms]
            failed = self._calls.gpt2sdk_engine_layer(
                self.handle,
                index,
                layer.heads,
                self.embed // layer.heads,
                layer.scaling,
                ACTIVATIONS[layer.activation],
                (c_void_p * 4)(*(each.handle for each in layer.matrices)),
                (c_void_p * 4)(*(each.data_ptr() for each in norms)),
            )
            if failed:
                raise MemoryError("no memory for norms")

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._calls.gpt2sdk_engine_free(self.handle)

    def score(
        self,
        cache: Cache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
        *,
        threads: int | None = None,
    ) -> tuple[Float[Tensor, "positions vocab"], dict[int, Float[Tensor, "positions embed"]]]:
        """Feed `tokens[i]` to slot `i`, and score its last `keep[i]` positions.

        The arguments have been checked. The cache is advanced if all goes well.

        Args:
            cache: The model's.
            tokens: Token ids for each slot.
            keep: How many of the last fed positions of each slot are scored.
            hidden_states: Before which layers the residual stream is wanted at these.
            threads: How many; torch's number by default.

        Raises:
            MemoryError: If there is not enough; the cache is then as it was.
        """
        counts = [len(row) for row in tokens]
        totals = [held + count for held, count in zip(cache.lengths, counts, strict=True)]
        cache.reserve(max(totals, default=0))
        held = [cache.buffer(layer, _LIKE) for layer in range(cache.depth)]
        scored = sum(keep)
        logits = torch.empty(scored, self.vocab)
        streams = torch.empty(len(hidden_states), scored, self.embed)
        failed = self._calls.gpt2sdk_score(
            self.handle,
            cache.depth,
            len(counts),
            cache.places,
            (c_void_p * len(held))(*(each.data_ptr() for each in held)),
            _ints(cache.lengths),
            _ints(list(chain.from_iterable(tokens))),
            _ints(counts),
            _ints(keep),
            _ints(hidden_states),
            len(hidden_states),
            logits.data_ptr(),
            streams.data_ptr(),
            torch.get_num_threads() if threads is None else threads,
        )
        if failed:
            raise MemoryError(f"no memory for {sum(counts)} more tokens")
        cache.advance(counts)
        return logits, dict(zip(hidden_states, streams, strict=True))

    def final_norm(
        self, hidden: Float[Tensor, "positions embed"]
    ) -> Float[Tensor, "positions embed"]:
        """Return hidden states as they are behind the last norm."""
        x = _plain(hidden)
        y = torch.empty_like(x)
        if self._calls.gpt2sdk_final_norm(self.handle, x.data_ptr(), len(x), y.data_ptr()):
            raise MemoryError("no memory for a norm")
        return y

    def unembed(self, hidden: Float[Tensor, "positions embed"]) -> Float[Tensor, "positions vocab"]:
        """Return logits of what is behind the last norm."""
        return self.head.product(hidden, self.kernels, torch.get_num_threads())


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().float().contiguous()


def _ints(numbers: Sequence[int]) -> bytes:
    return array("i", numbers).tobytes() or b"\0\0\0\0"
