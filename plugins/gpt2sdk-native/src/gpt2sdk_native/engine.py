"""A model whose whole `score` is computed by the library, and the cache that it fills."""

from array import array
from collections.abc import Sequence
from ctypes import c_void_p
from dataclasses import dataclass
from itertools import chain
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

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
class PagedCache:
    """Keys and values in float32 pages of 16 positions, which forks share until they write."""

    def __init__(self, slots: int, depth: int, heads: int, size: int, limit: int) -> None:
        self._calls = library()
        self.limit = limit
        self.lengths: tuple[int, ...] = (0,) * slots
        handle = self._calls.gpt2sdk_cache_new(slots, depth, heads, size, limit)
        if handle is None:
            raise MemoryError("no memory for a cache")
        self.handle: int = handle

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._calls.gpt2sdk_cache_free(self.handle)

    @property
    def nbytes(self) -> int:
        """Bytes of its pages, spare ones included."""
        return int(self._calls.gpt2sdk_cache_bytes(c_void_p(self.handle)))

    def fork(self, parents: Sequence[int]) -> None:
        """Slot `i` becomes a copy of slot `parents[i]`; −1 makes an empty one."""
        for parent in parents:
            if not -1 <= parent < len(self.lengths):
                raise ValueError(f"parent {parent}: expected a slot, or -1")
        if self._calls.gpt2sdk_cache_fork(self.handle, _ints(parents), len(parents)):
            raise MemoryError("no memory to fork a cache")
        self.lengths = tuple(self.lengths[each] if each >= 0 else 0 for each in parents)

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget what each slot holds beyond its given length."""
        held = zip(lengths, self.lengths, strict=True)
        if not all(0 <= length <= most for length, most in held):
            raise ValueError(f"lengths {lengths}: expected 0 to {self.lengths}")
        self._calls.gpt2sdk_cache_rewind(self.handle, _ints(lengths))
        self.lengths = tuple(lengths)

    def advance(self, counts: Sequence[int]) -> None:
        """Count what the library wrote."""
        self.lengths = tuple(map(int.__add__, self.lengths, counts))


@final
class NativeEngine:
    """Computes `score` calls of a model."""

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
        """
        self._calls = library()
        self._keep = list(layers), table, head
        self.vocab, self.embed = table.shape
        self.limit = len(places)
        self.depth = len(layers)
        self.heads = layers[0].heads
        chosen = kernels(isa)
        self.isa: str = self._calls.gpt2sdk_kernels_name(chosen).decode()
        ends = [_plain(each) for each in (places, *norm)]
        self.handle: int = self._calls.gpt2sdk_engine_new(
            chosen,
            len(layers),
            self.embed,
            self.vocab,
            self.limit,
            epsilon,
            table.handle,
            head.handle,
            *(each.data_ptr() for each in ends),
        )
        for index, layer in enumerate(layers):
            norms = [_plain(each) for each in layer.norms]
            self._calls.gpt2sdk_engine_layer(
                self.handle,
                index,
                layer.heads,
                self.embed // layer.heads,
                layer.scaling,
                ACTIVATIONS[layer.activation],
                (c_void_p * 4)(*(each.handle for each in layer.matrices)),
                (c_void_p * 4)(*(each.data_ptr() for each in norms)),
            )

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self._calls.gpt2sdk_engine_free(self.handle)

    def make_cache(self, slots: int, depth: int | None = None) -> PagedCache:
        """Return an empty cache for the first `depth` blocks, or all."""
        depth = self.depth if depth is None else depth
        return PagedCache(slots, depth, self.heads, self.embed // self.heads, self.limit)

    def score(
        self,
        cache: PagedCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
        *,
        threads: int | None = None,
    ) -> tuple[Float[Tensor, "positions vocab"], dict[int, Tensor]]:
        """Feed `tokens[i]` to slot `i`, and score its last `keep[i]` positions.

        Raises:
            ValueError: If an argument does not fit the cache or the model.
            MemoryError: If there is not enough; the cache is then as it was.
        """
        counts = [len(row) for row in tokens]
        ids = list(chain.from_iterable(tokens))
        if not len(cache.lengths) == len(counts) == len(keep):
            raise ValueError(f"expected tokens and keep for {len(cache.lengths)} slots")
        if ids and not 0 <= min(ids) <= max(ids) < self.vocab:
            raise ValueError(f"expected token ids from 0 to {self.vocab - 1}")
        for held, count, kept in zip(cache.lengths, counts, keep, strict=True):
            if not (0 <= kept <= count and held + count <= self.limit):
                raise ValueError(f"{count} tokens, {kept} kept, do not fit a slot of {held}")
        scored = sum(keep)
        logits = torch.empty(scored, self.vocab)
        streams = torch.empty(len(hidden_states), scored, self.embed)
        failed = self._calls.gpt2sdk_score(
            self.handle,
            cache.handle,
            _ints(ids),
            _ints(counts),
            _ints(keep),
            _ints(hidden_states),
            len(hidden_states),
            logits.data_ptr(),
            streams.data_ptr(),
            torch.get_num_threads() if threads is None else threads,
        )
        if failed:
            raise MemoryError(f"no memory for {len(ids)} more tokens")
        cache.advance(counts)
        return logits, dict(zip(hidden_states, streams, strict=True))


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().float().contiguous()


def _ints(numbers: Sequence[int]) -> bytes:
    return array("i", numbers).tobytes() or b"\0\0\0\0"
