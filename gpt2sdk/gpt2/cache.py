"""Keys and values of what was fed: one slot per row, each of its own length, all in place.

Each layer has one buffer `[slots, 2 * heads, places, head_size]`, a slot's keys before its
values, so that a step writes both at once and a head's keys are read as one stretch of memory.
A slot is good up to its length; what lies behind it is left over and finite. Nobody else knows
this: others `write`, `read` and ask for bytes.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import OptionError
from gpt2sdk.gpt2.untouched import untouched_zeros
from gpt2sdk.gpt2.window import check_window

_FIRST_PLACES = 64


@final
class Cache:
    """A ragged key-value cache that grows by itself, up to the context window.

    On a CPU it holds float32 for 16-bit models too: attention over 16-bit keys takes two to six
    times as long there, and is less exact (docs/decisions/0004-float32-keys-on-cpus.md).

    Args:
        slots: How many rows it starts with, all empty.
        layers: Blocks of the model.
        depth: How many of them run, the first ones; all by default.
        heads: Heads of a block; 0 if layers differ: each has what is first written to it, and
            likewise with `head_size`.
        head_size: Width of one.
        limit: Most tokens a slot can hold.
    """

    def __init__(
        self,
        slots: int,
        *,
        layers: int,
        heads: int = 0,
        head_size: int = 0,
        limit: int,
        depth: int | None = None,
    ) -> None:
        self.layers = layers
        self.depth = layers if depth is None else depth
        self.heads = heads
        self.head_size = head_size
        self.limit = limit
        self._lengths = [0] * slots
        self._places = 0
        self._buffers: list[Tensor | None] = [None] * self.depth
        # How far each slot's memory was ever written, whoever was there; it may have more slots.
        self._used = [0] * slots
        # How many leading places of two slots are copies of one another.
        self._shared = np.zeros((slots, slots), dtype=np.int64)

    def fits(self, config: GPT2Config) -> bool:
        """Whether it was made for a model of these sizes."""
        mine = self.layers, self.heads, self.heads * self.head_size, self.limit
        return mine == (config.n_layer, config.n_head, config.n_embd, config.n_positions)

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens each slot holds."""
        return tuple(self._lengths)

    @property
    def places(self) -> int:
        """For how many tokens each slot has room by now."""
        return self._places

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated."""
        return sum(buffer.nbytes for buffer in self._buffers if buffer is not None)

    def write(
        self,
        layer: int,
        new: Float[Tensor, "... size"],
        slots: slice | Int[Tensor, " fed"],
        places: slice | Int[Tensor, " fed"],
    ) -> None:
        """Write a layer's keys and values, the keys of all heads before the values.

        Either both are slices, for as many places of each of several slots, or both are tensors,
        for a slot and a place of each token. `advance` counts what was written, once for all
        layers.

        Args:
            layer: The layer; its buffer is made or enlarged if need be, on the device of `new`.
            new: `[slots, 2 * heads, places, head_size]`, or `[fed, 2 * heads, head_size]`, in any
                type.
            slots: Where to.
            places: The positions in these slots; room for them is reserved.
        """
        buffer = self.buffer(layer, new)
        buffer[slots, :, places] = new if new.dtype == buffer.dtype else new.to(buffer.dtype)

    def read(
        self, layer: int, first: int, span: int, total: int
    ) -> Float[Tensor, "span pairs total size"]:
        """Return a view of a layer's keys and values: `pairs` are all heads' keys, then values.

        Args:
            layer: A layer that was written to.
            first: The first slot.
            span: How many slots.
            total: How many places of each, from its first.
        """
        buffer = self._buffers[layer]
        if buffer is None:
            raise _misuse(f"layer {layer} is read before it is written to")
        if span != buffer.shape[0]:
            buffer = buffer.narrow(0, first, span)
        return buffer.narrow(2, 0, total)

    def buffer(self, layer: int, like: Tensor) -> Float[Tensor, "slots pairs places size"]:
        """Return a layer's keys and values of all slots and places, to be written to in place.

        For who feeds a whole call at once: `reserve` first, `advance` behind it. Of a slot, places
        up to its length are good; there may be more slots than are in use.

        Args:
            layer: The layer; its buffer is made or enlarged if need be.
            like: Says on which device, and in which type the model computes; and where the cache
                was not told its heads, it is what `write` is given.
        """
        held = self._buffers[layer]
        if held is None or len(held) < len(self._used) or held.shape[2] < self._places:
            held = self._resize(layer, like)
        return held

    def reserve(self, places: int) -> None:
        """Make room for that many tokens per slot; layers that hold nothing follow when they do."""
        if places > self._places:
            # A prompt has room behind it: who copies it, and goes on, need not move it once more.
            behind = 0 if self._places or places < _FIRST_PLACES else _FIRST_PLACES
            self._places = min(self.limit, max(places + behind, 2 * self._places, _FIRST_PLACES))
            for layer, buffer in enumerate(self._buffers):
                if buffer is not None:
                    self._resize(layer, buffer)

    def advance(self, counts: Sequence[int]) -> None:
        """Count the tokens that were written behind each slot's."""
        for slot, count in enumerate(counts):
            if count:
                self._lengths[slot] += count
                self._used[slot] = max(self._used[slot], self._lengths[slot])

    def fork(self, parents: Sequence[int]) -> None:
        """Slot `i` becomes a copy of slot `parents[i]`; -1 makes an empty one.

        Only slots that change are touched, and of these only the places that differ: beams that
        share a long prompt copy what they wrote since they parted. Without slots nothing is held.

        Raises:
            OptionError: If a parent is not a slot.
        """
        old = len(self._lengths)
        for parent in parents:
            if not -1 <= parent < old:
                raise _misuse(f"parent {parent}: expected a slot from 0 to {old - 1}, or -1")
        self._used += [0] * (len(parents) - len(self._used))
        np.fill_diagonal(self._shared, self._lengths)
        self._copy(
            [move for child, parent in enumerate(parents) if (move := self._move(child, parent))]
        )
        self._clear([child for child, parent in enumerate(parents) if parent < 0])
        self._lengths = [self._lengths[parent] if parent >= 0 else 0 for parent in parents]
        self._shared = self._shared_by(parents)
        self._shrink()

    @property
    def token_nbytes(self) -> int:
        """Bytes of a slot's keys and values of one token; 0 while nothing was written."""
        held = [buffer for buffer in self._buffers if buffer is not None]
        return sum(each.element_size() * each.shape[1] * each.shape[3] for each in held)

    def copy_out(self, slot: int, start: int, stop: int) -> list[Float[Tensor, "pairs held size"]]:
        """Return a slot's keys and values of some places, layer by layer, in new memory."""
        if not 0 <= start <= stop <= self._lengths[slot]:
            held = self._lengths[slot]
            raise _misuse(f"places {start} to {stop} of slot {slot}, which holds {held}")
        with torch.inference_mode(mode=False):
            return [
                buffer[slot, :, start:stop].clone(memory_format=torch.contiguous_format)
                for buffer in self._buffers
                if buffer is not None
            ]

    def copy_in(self, slot: int, held: Sequence[Float[Tensor, "pairs held size"]]) -> None:
        """Put what was copied out of a cache of this model behind what a slot holds."""
        if len(held) != self.depth:
            raise _misuse(f"keys and values of {len(held)} layers for {self.depth}")
        start, count = self._lengths[slot], held[0].shape[1]
        counts = [count * (each == slot) for each in range(len(self._lengths))]
        check_window(self._lengths, counts, self.limit)
        self.reserve(start + count)
        for layer, each in enumerate(held):
            self.buffer(layer, each.unsqueeze(0))[slot, :, start : start + count] = each
        self.advance([count * (each == slot) for each in range(len(self._lengths))])

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget what each slot holds beyond its given length.

        Raises:
            OptionError: If there is not one length per slot, or it is more than the slot holds.
        """
        if len(lengths) != len(self._lengths):
            raise _misuse(f"{len(lengths)} lengths for {len(self._lengths)} slots")
        for slot, (length, held) in enumerate(zip(lengths, self._lengths, strict=True)):
            if not 0 <= length <= held:
                raise _misuse(f"slot {slot}: expected a length from 0 to {held}, got {length}")
        self._lengths = list(lengths)
        cut = np.asarray(self._lengths, dtype=np.int64)
        self._shared = np.minimum(self._shared, np.minimum(cut[:, None], cut))

    def _move(self, child: int, parent: int) -> tuple[int, int, int, int] | None:
        """Say which places a slot must take over: child, parent, first place and end."""
        if parent < 0 or parent == child:
            return None
        start = int(self._shared[child, parent]) if child < len(self._lengths) else 0
        stop = self._lengths[parent]
        return (child, parent, start, stop) if start < stop else None

    def _copy(self, moves: Sequence[tuple[int, int, int, int]]) -> None:
        if not moves:
            return
        children, parents, starts, stops = zip(*moves, strict=True)
        first, count = min(starts), max(stops) - min(starts)
        for index, buffer in enumerate(self._buffers):
            if buffer is None:
                continue
            roomy = self._resize(index, buffer) if len(buffer) < len(self._used) else buffer
            part = roomy.narrow(2, first, count)
            target = torch.tensor(children, device=buffer.device)
            source = torch.tensor(parents, device=buffer.device)
            # Selected before it is written: a slot may be parent and child at once.
            part.index_copy_(0, target, part.index_select(0, source))
        for child, _, _, stop in moves:
            self._used[child] = max(self._used[child], stop)

    def _clear(self, slots: Sequence[int]) -> None:
        """Zero memory for new rows, so that not even an infinity of a former one gets through."""
        for slot in slots:
            if used := self._used[slot]:
                for buffer in self._buffers:
                    if buffer is not None:
                        buffer[slot, :, :used].zero_()
                self._used[slot] = 0

    def _shrink(self) -> None:
        """Give memory back where less than half of the slots, or of their places, is in use."""
        if not self._lengths:
            self._buffers = [None] * self.depth
            self._used, self._places = [], 0
            return
        slots, longest = len(self._lengths), max(self._lengths)
        places = max(2 * longest, _FIRST_PLACES)
        if 2 * slots > len(self._used) and 2 * places > self._places:
            return
        self._used = [min(used, places) for used in self._used[:slots]]
        self._places = min(places, self._places)
        for layer, buffer in enumerate(self._buffers):
            if buffer is not None:
                self._resize(layer, buffer)

    def _shared_by(self, parents: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Return how many leading places the new slots share.

        For example: slots of 5 and 7 tokens that share 3; parents [1, 1, -1] give slots that share
        7, and an empty one that shares nothing.
        """
        places = np.asarray(parents, dtype=np.int64)
        shared = np.zeros((len(parents), len(parents)), dtype=np.int64)
        kept = np.flatnonzero(places >= 0)
        shared[np.ix_(kept, kept)] = self._shared[np.ix_(places[kept], places[kept])]
        return shared

    def _resize(self, layer: int, like: Tensor) -> Float[Tensor, "slots pairs places size"]:
        """Give a layer a buffer for all slots and places, on the device of keys and values."""
        pairs, size = self._form(layer, like)
        shape = (len(self._used), pairs, self._places, size)
        dtype = cache_dtype(like.dtype, like.device)
        # Not an inference tensor: it is also written where gradients are merely off.
        with torch.inference_mode(mode=False):
            new = untouched_zeros(shape, dtype, like.device)
        old = self._buffers[layer]
        for slot, used in enumerate(self._used[: 0 if old is None else len(old)]):
            if used and old is not None:
                new[slot, :, :used] = old[slot, :, :used]
        self._buffers[layer] = new
        return new

    def _form(self, layer: int, like: Tensor) -> tuple[int, int]:
        """Return how many keys and values a token has in a layer, and their width."""
        if self.heads:
            return 2 * self.heads, self.head_size
        held = self._buffers[layer]
        known = like if held is None else held
        return known.shape[1], known.shape[-1]


def cache_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the type in which keys and values are held where a model computes in another.

    >>> cache_dtype(torch.bfloat16, torch.device("cpu"))
    torch.float32
    """
    return torch.promote_types(dtype, torch.float32) if device.type == "cpu" else dtype


def token_nbytes(config: GPT2Config, held: torch.dtype) -> int:
    """Return the bytes of one token's keys and values in one layer.

    Args:
        config: The model's sizes.
        held: The type in which they are held: see `cache_dtype`.

    Example:
        >>> token_nbytes(GPT2Config(n_embd=768), torch.float32)
        6144
    """
    return 2 * config.n_embd * held.itemsize


def _misuse(problem: str) -> OptionError:
    return OptionError(f"the cache was misused: {problem}")
