"""One call's tokens, packed without padding, and how they attend to their slots of the cache.

All tokens of all slots lie one behind the other in a matrix `[fed, embed]`, so that norms and
linear layers compute nothing in vain. Only attention sees the slots: neighbours share a kernel
call, the shorter ones masked, where that costs less than calls of their own. How keys and values
lie in memory is the cache's affair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2sdk.components.causal_lm import KeyValueCache
from gpt2sdk.errors import OptionError
from gpt2sdk.gpt2.attention import Heads, mix
from gpt2sdk.gpt2.cache import Cache, cache_dtype
from gpt2sdk.gpt2.window import check_window

# What a kernel call costs besides its scores (about 8 µs), in scores times the model's width.
_CALL = 2**16


@dataclass(slots=True)
class Group:
    """Neighbouring slots that attend in one kernel call.

    Attributes:
        first: The first slot.
        span: How many slots there are, idle ones in between included.
        start: The first slot's first token among the fed ones.
        stop: The end of the last slot's.
        new: Most tokens fed to one of the slots.
        total: Most tokens that one of them then holds.
        even: Whether every slot is fed `new` tokens.
        fresh: Whether, besides, all of them were empty: then attention is plainly causal.
        mask: What is added to the scores; `None` for nothing.
        stretch: The slots, and each slot's places, that the fed tokens take, if slices say it.
        padded: The fed token at each of `span * new` places; `None` if they lie so already.
        unpadded: The place of each fed token; `None` likewise.
    """

    first: int
    span: int
    start: int
    stop: int
    new: int
    total: int
    even: bool
    fresh: bool
    stretch: tuple[slice, slice] | None = None
    mask: Float[Tensor, "span 1 new total"] | None = None
    padded: Int[Tensor, " places"] | None = None
    unpadded: Int[Tensor, " fed"] | None = None


def group(pasts: Sequence[int], counts: Sequence[int], width: int) -> list[Group]:
    """Decide which slots attend together.

    A slot joins the ones before it where the scores then computed in vain cost less than a call
    of its own, and where all are empty and fed the same, since then none are.

    Args:
        pasts: How many tokens each slot holds.
        counts: How many each is fed; idle slots none.
        width: Width of the residual stream.

    Example:
        >>> together = group([9, 8, 700, 9], [1, 1, 1, 1], width=768)
        >>> [(part.first, part.span, part.total) for part in together]
        [(0, 2, 10), (2, 1, 701), (3, 1, 10)]
    """
    groups: list[Group] = []
    fed = 0
    for slot, (past, new) in enumerate(zip(pasts, counts, strict=True)):
        if not new:
            continue
        if not (groups and _join(groups[-1], slot, past, new, _CALL // width)):
            groups.append(
                Group(slot, 1, fed, fed + new, new, past + new, even=True, fresh=not past)
            )
        fed += new
    return groups


def _join(group: Group, slot: int, past: int, new: int, most: int) -> bool:
    """Take the next slot into a group, if it costs at most so many scores in vain."""
    span = slot + 1 - group.first
    longest, total = max(group.new, new), max(group.total, past + new)
    even = group.even and group.new == new and span == group.span + 1
    fresh = even and group.fresh and not past
    extra = span * longest * total - group.span * group.new * group.total - new * (past + new)
    if extra > most and not fresh:
        return False
    group.span, group.new, group.total = span, longest, total
    group.stop += new
    group.even, group.fresh = even, fresh
    return True


class Feed:
    """What one call feeds to a cache: tokens, positions, and how they attend; an `Attend`.

    Attributes:
        depth: How many blocks run.
        tokens: Token ids, slot after slot.
        positions: Their positions.
        kept: Which of the fed tokens are scored; `None` for all.
        groups: Who attends together.
    """

    def __init__(
        self,
        cache: Cache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        *,
        like: Tensor,
    ) -> None:
        """Plan a call that `check_fed` found right; nothing is written yet.

        Args:
            cache: What is fed.
            tokens: Token ids for each slot.
            keep: How many of each slot's last fed positions are scored.
            like: A parameter of the model, for the device and the type.
        """
        pasts = cache.lengths
        self._counts = counts = [len(row) for row in tokens]
        ids = list(chain.from_iterable(tokens))
        cache.reserve(max(map(int.__add__, pasts, counts), default=0))
        self._cache = cache
        self.depth = cache.depth
        self._fed = len(ids)
        self.groups = group(pasts, counts, cache.heads * cache.head_size)
        self.tokens, self.positions, self._slots = self._place(ids, pasts, like.device)
        self.kept = _kept(counts, keep, like.device)
        self._copies: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}
        dtype = cache_dtype(like.dtype, like.device)
        for part in self.groups:
            _add_mask(part, pasts, dtype, like.device)
            if not part.even:
                _add_padding(part, counts, like.device)

    def __len__(self) -> int:
        """How many tokens are fed."""
        return self._fed

    def __call__(
        self, layer: int, qkv: Float[Tensor, "fed qkv"], heads: Heads
    ) -> Float[Tensor, "fed embed"]:
        """Write a layer's keys and values into the cache, and attend to what is then there."""
        count = heads.count
        parts = qkv.view(self._fed, 3 * count, heads.size)
        if self._slots is None:
            mixed = self._attend(self.groups[0], layer, parts, heads)
        else:
            slots, places = self._on(self._slots, parts), self._on(self.positions, parts)
            self._cache.write(layer, parts.narrow(1, count, 2 * count), slots, places)
            mixed = torch.cat(
                [
                    self._attend(part, layer, parts[part.start : part.stop], heads)
                    for part in self.groups
                ]
            )
        return mixed.to(qkv.dtype)

    def take(self, x: Float[Tensor, "fed embed"]) -> Float[Tensor, "kept embed"]:
        """Return the scored positions, in new memory or the same."""
        return x if self.kept is None else x.index_select(0, self._on(self.kept, x))

    def finish(self) -> None:
        """Let the cache count what was written."""
        self._cache.advance(self._counts)

    def _place(
        self, ids: list[int], pasts: Sequence[int], device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return ids, positions and the slot of each; no slots where a stretch takes them all."""
        positions: list[int] = []
        for past, count in zip(pasts, self._counts, strict=True):
            positions.extend(range(past, past + count))
        if len(self.groups) == 1 and _add_stretch(self.groups[0], pasts):
            tokens, places = torch.tensor([ids, positions], device=device)
            return tokens, places, None
        slots = [slot for slot, count in enumerate(self._counts) for _ in range(count)]
        columns = torch.tensor([ids, positions, slots], dtype=torch.int64, device=device)
        tokens, places, owners = columns
        return tokens, places, owners

    def _attend(
        self, part: Group, layer: int, parts: Float[Tensor, "of parts size"], heads: Heads
    ) -> Float[Tensor, "of embed"]:
        """Let a group attend to its slots; write first what a stretch of the cache takes."""
        count = heads.count
        if part.padded is not None:
            parts = parts.index_select(0, self._on(part.padded, parts))
        fed = parts.view(part.span, part.new, *parts.shape[1:]).transpose(1, 2)
        if part.stretch is not None:
            self._cache.write(layer, fed.narrow(1, count, 2 * count), *part.stretch)
        held = self._cache.read(layer, part.first, part.span, part.total)
        key, value = held.narrow(1, 0, count), held.narrow(1, count, count)
        query = fed.narrow(1, 0, count)
        if query.dtype != held.dtype:
            query = query.to(held.dtype)
        mask = None if part.mask is None else self._on(part.mask, query, query.dtype)
        mixed = mix(query, key, value, heads, mask=mask, causal=part.fresh)
        rows = mixed.transpose(1, 2).reshape(part.span * part.new, -1)
        if part.unpadded is None:
            return rows
        return rows.index_select(0, self._on(part.unpadded, rows))

    def _on(self, tensor: Tensor, other: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return an index or mask where another tensor is; copied once for all layers there."""
        device, dtype = other.device, tensor.dtype if dtype is None else dtype
        if tensor.device == device and tensor.dtype == dtype:
            return tensor
        key = id(tensor), device, dtype
        if key not in self._copies:
            self._copies[key] = tensor.to(device, dtype)
        return self._copies[key]


@runtime_checkable
class LimitedCache(KeyValueCache, Protocol):
    """A cache that knows how many tokens a slot can hold.

    Attributes:
        limit: That number.
    """

    limit: int


def check_fed(
    cache: LimitedCache, tokens: Sequence[Sequence[int]], keep: Sequence[int], vocab_size: int
) -> bool:
    """Check what is to be fed, and say whether it is anything.

    Args:
        cache: What is fed.
        tokens: Token ids for each slot.
        keep: How many of each slot's last fed positions are scored.
        vocab_size: Ids are below it.

    Raises:
        OptionError: If there isn't one entry per slot, a token id is out of range, or more
            positions are to be scored than are fed.
        ContextOverflowError: If a slot would hold more than the context window.
    """
    counts = [len(row) for row in tokens]
    _check_slots(len(cache.lengths), counts, keep)
    _check_ids(list(chain.from_iterable(tokens)), vocab_size)
    check_window(cache.lengths, counts, cache.limit)
    return any(counts)


def _add_stretch(part: Group, pasts: Sequence[int]) -> bool:
    """Let slices say where a group's tokens go, if its slots are as long and are fed as much."""
    past = pasts[part.first]
    held = pasts[part.first : part.first + part.span]
    if part.even and held.count(past) == part.span:
        part.stretch = slice(part.first, part.first + part.span), slice(past, past + part.new)
    return part.stretch is not None


def _add_mask(part: Group, pasts: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
    """Hide from each new token what stands behind it, unless nothing does.

    For example, 2 new tokens of a slot that holds 2, beside one that will hold 6 in total:
    `0 0 0 ∞ ∞ ∞` and `0 0 0 0 ∞ ∞`, with −∞ for ∞.
    """
    held = pasts[part.first : part.first + part.span]
    if part.fresh or (part.new == 1 and held.count(part.total - 1) == part.span):
        return
    last = torch.tensor(held, device=device)[:, None] + torch.arange(part.new, device=device)
    hidden = torch.arange(part.total, device=device) > last[:, None, :, None]
    part.mask = torch.zeros(hidden.shape, dtype=dtype, device=device)
    part.mask.masked_fill_(hidden, -torch.inf)


def _add_padding(part: Group, counts: Sequence[int], device: torch.device) -> None:
    """Say where the fed tokens go in a rectangle of slots and new tokens; the rest repeats one.

    For example, 2 and 1 new tokens: padded 0 1 2 2, unpadded 0 1 2.
    """
    padded: list[int] = []
    unpadded: list[int] = []
    fed = 0
    for place, count in enumerate(counts[part.first : part.first + part.span]):
        first = part.new * place
        unpadded += range(first, first + count)
        padded += range(fed, fed + count)
        fed += count
        padded += [fed - 1] * (part.new - count)
    part.padded = torch.tensor(padded, device=device)
    part.unpadded = torch.tensor(unpadded, device=device)


def _kept(counts: Sequence[int], keep: Sequence[int], device: torch.device) -> Tensor | None:
    if list(keep) == counts:
        return None
    kept: list[int] = []
    for stop, count in zip(accumulate(counts), keep, strict=True):
        kept += range(stop - count, stop)
    return torch.tensor(kept, dtype=torch.int64, device=device)


def _check_slots(slots: int, counts: Sequence[int], keep: Sequence[int]) -> None:
    if not slots == len(counts) == len(keep):
        raise OptionError(
            f"expected tokens and keep for {slots} slots, got {len(counts)} and {len(keep)}"
        )
    for slot, (count, kept) in enumerate(zip(counts, keep, strict=True)):
        if not 0 <= kept <= count:
            raise OptionError(
                f"slot {slot}: expected to keep 0 to {count} of the tokens fed, got {kept}",
                name="keep",
                value=kept,
                expected=f"0 to {count}",
            )


def _check_ids(ids: Sequence[int], vocab_size: int) -> None:
    if ids and not 0 <= min(ids) <= max(ids) < vocab_size:
        wrong = next(token for token in ids if not 0 <= token < vocab_size)
        raise OptionError(
            f"token {wrong}: expected an id from 0 to {vocab_size - 1}, the model's vocabulary "
            f"has {vocab_size}",
            name="tokens",
            value=wrong,
            expected=f"0 to {vocab_size - 1}",
        )
