"""One call's tokens, packed into one sequence, and who attends to what of the cache.

All tokens of all slots lie one behind the other as a batch of one sequence, each with its position
in its own slot, so that nothing is padded. Only attention sees the slots. A model's attention gets
here by what transformers lets it call: a cache, which says whose turn it is, and an attention
function, whose keys and values are those of the new tokens. They are written as they get there, so
that networks that cache something smaller (latent attention) are fed like all others.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import Cache
from gpt2sdk_transformers.attention import Rule, attend
from gpt2sdk_transformers.mixer import StateFeeder

# What a kernel call costs besides its scores (about 8 µs), in scores times the model's width.
_CALL = 2**16


@dataclass(slots=True)
class RaggedGroup:
    """Neighbouring slots that are fed equally much and attend in one kernel call.

    Attributes:
        first: The first slot.
        pasts: How many tokens each slot held.
        new: Tokens fed to each.
        start: The first slot's first token among the fed ones.
    """

    first: int
    pasts: list[int]
    new: int
    start: int
    masks: dict[object, tuple[int, Tensor | None]] = field(default_factory=dict)

    @property
    def span(self) -> int:
        """How many slots there are."""
        return len(self.pasts)

    @property
    def stop(self) -> int:
        """The end of the last slot's fed tokens."""
        return self.start + self.span * self.new

    @property
    def total(self) -> int:
        """Most tokens that a slot then holds."""
        return max(self.pasts) + self.new

    @property
    def fresh(self) -> bool:
        """Whether all slots were empty, so that attention is plainly causal."""
        return not any(self.pasts)

    def takes(self, slot: int, past: int, new: int, most: int) -> bool:
        """Whether the next slot may join: it costs at most so many scores in vain."""
        if slot != self.first + self.span or new != self.new:
            return False
        total = max(self.total, past + new)
        vain = new * sum(total - new - held for held in (*self.pasts, past))
        return vain <= most or (self.fresh and not past)

    def hidden(
        self, window: int | None, dtype: torch.dtype, device: torch.device
    ) -> tuple[int, Float[Tensor, "span 1 new seen"] | None]:
        """Return the first place that anyone sees, and what is added to the scores behind it.

        A token at position q sees the places k with q - window < k <= q. For example, one new
        token in slots of 2 and 4 tokens, window 2: from place 2 on, `0 ∞ ∞` and `∞ 0 0`, with −∞
        for ∞.
        """
        key = window, dtype, device
        if key not in self.masks:
            self.masks[key] = self._hidden(window, dtype, device)
        return self.masks[key]

    def _hidden(
        self, window: int | None, dtype: torch.dtype, device: torch.device
    ) -> tuple[int, Tensor | None]:
        low = 0 if window is None else max(0, min(self.pasts) + 1 - window)
        alike = self.pasts.count(self.pasts[0]) == self.span
        if self.new == 1 and alike:
            return low, None
        if self.fresh and (window is None or window >= self.new):
            return low, None
        places = torch.arange(low, self.total, device=device)
        last = torch.tensor(self.pasts, device=device)[:, None] + torch.arange(
            self.new, device=device
        )
        last = last[:, None, :, None]
        unseen = places > last
        if window is not None:
            unseen |= places <= last - window
        mask = torch.zeros(unseen.shape, dtype=dtype, device=device)
        return low, mask.masked_fill_(unseen, -torch.inf)


def group(pasts: Sequence[int], counts: Sequence[int], width: int) -> list[RaggedGroup]:
    """Decide which slots attend together.

    Args:
        pasts: How many tokens each slot holds.
        counts: How many each is fed; idle slots none.
        width: Width of the residual stream.

    Example:
        >>> together = group([9, 8, 700, 9], [1, 1, 1, 1], width=768)
        >>> [(part.first, part.span, part.total) for part in together]
        [(0, 2, 10), (2, 1, 701), (3, 1, 10)]
    """
    groups: list[RaggedGroup] = []
    fed = 0
    for slot, (past, new) in enumerate(zip(pasts, counts, strict=True)):
        if not new:
            continue
        if groups and groups[-1].takes(slot, past, new, _CALL // width):
            groups[-1].pasts.append(past)
        else:
            groups.append(RaggedGroup(slot, [past], new, fed))
        fed += new
    return groups


@final
class RaggedFeed:
    """What one call feeds to a cache.

    Attributes:
        ids: Token ids, slot after slot, as a batch of one.
        positions: Their positions, each in its own slot.
        kept: Which of the fed tokens are scored; `None` for all.
        wanted: The layers whose input is kept.
        hidden: What was kept of them.
        attended: How many layers attended to what they wrote.
        states: What the call does to states; `None` where no layer has one.
    """

    def __init__(
        self,
        cache: Cache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        wanted: Sequence[int],
        *,
        width: int,
        device: torch.device,
        states: StateFeeder | None = None,
    ) -> None:
        """Plan a call whose arguments were checked; nothing is written yet.

        Args:
            cache: What is fed.
            tokens: Token ids for each slot.
            keep: How many of each slot's last fed positions are scored.
            wanted: The layers whose input is asked for.
            width: Width of the residual stream.
            device: Where tokens are wanted.
            states: What layers with a state go on from.
        """
        pasts = cache.lengths
        self._cache = cache
        self.states = states
        self._counts = counts = [len(row) for row in tokens]
        cache.reserve(max(map(int.__add__, pasts, counts)))
        self._groups = group(pasts, counts, width)
        places = [
            place
            for past, count in zip(pasts, counts, strict=True)
            for place in range(past, past + count)
        ]
        slots = [slot for slot, count in enumerate(counts) for _ in range(count)]
        made = torch.tensor([list(chain.from_iterable(tokens)), places, slots], device=device)
        self.ids, self.positions, self._slots = made[0:1], made[1:2], made[2]
        self.kept = _kept(counts, keep, device)
        self.wanted = frozenset(wanted)
        self.hidden: dict[int, Tensor] = {}
        self.attended = 0
        self._next: int | None = None
        self._written: dict[int, tuple[Tensor, Tensor, int]] = {}

    @property
    def written(self) -> int:
        """How many layers wrote keys and values."""
        return len(self._written)

    def announce(self, layer: int) -> None:
        """Note which layer attends next.

        Raises:
            OptionError: If another one was to.
        """
        if not 0 <= layer < self._cache.depth or self._next is not None:
            raise misfit(f"layer {layer} of {self._cache.depth} caches something out of turn")
        self._next = layer

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, rule: Rule
    ) -> Float[Tensor, "1 fed heads size"]:
        """Write a layer's new keys and values, and let each token attend to its own slot.

        Args:
            query: `[1, heads, fed, size]`.
            key: Of the new tokens; or the very tensor that an earlier layer wrote, to share it.
            value: Likewise; its width may be another one.
            rule: How the layer attends.

        Raises:
            OptionError: If no layer was announced.
        """
        _, written, layer = self._written.get(id(key), (None, None, 0))
        if written is not value:
            if self._next is None:
                raise misfit("a layer attends to keys and values that its cache was not told of")
            layer, self._next = self._next, None
            self._write(layer, key, value)
            # Held, so that no other tensor gets its id while this call is under way.
            self._written[id(key)] = key, value, layer
        heads = key.shape[1]
        mixed = []
        for part in self._groups:
            low, mask = part.hidden(rule.window, self._dtype(layer, key), key.device)
            held = self._cache.read(layer, part.first, part.span, part.total)
            keys = held[:, :heads, low:, : key.shape[-1]]
            values = held[:, heads:, low:, : value.shape[-1]]
            asked = _apart(query[0, :, part.start : part.stop], part)
            causal = part.fresh and mask is None and part.new > 1
            out = attend(asked, keys, values, rule, mask, causal=causal)
            mixed.append(out.transpose(1, 2).flatten(0, 1))
        self.attended += 1
        rows = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
        return rows.unsqueeze(0).to(query.dtype).contiguous()

    def _write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Write new keys and values, `[1, heads, fed, size]`, behind each slot's."""
        size = max(key.shape[-1], value.shape[-1])
        key, value = (pad(each, (0, size - each.shape[-1])) for each in (key, value))
        new = torch.cat((key, value), dim=1)[0]
        places, slots = self.positions[0].to(key.device), self._slots.to(key.device)
        alone = self._groups[0]
        if len(self._groups) == 1 and alone.pasts.count(alone.pasts[0]) == alone.span:
            past = alone.pasts[0]
            self._cache.write(
                layer,
                _apart(new, alone),
                slice(alone.first, alone.first + alone.span),
                slice(past, past + alone.new),
            )
        else:
            self._cache.write(layer, new.transpose(0, 1), slots, places)

    def take(self, x: Float[Tensor, "1 fed embed"]) -> Float[Tensor, "1 kept embed"]:
        """Return what stands at the scored positions."""
        return x if self.kept is None else x.index_select(1, self.kept.to(x.device))

    def finish(self) -> None:
        """Let the cache count what was written."""
        self._cache.advance(self._counts)
        if self.states is not None:
            self.states.finish()

    def _dtype(self, layer: int, like: Tensor) -> torch.dtype:
        return self._cache.buffer(layer, like).dtype


UNDER_WAY: ContextVar[RaggedFeed | None] = ContextVar("gpt2sdk_transformers_feed", default=None)
"""The call that this thread computes, for what transformers calls by name."""


def misfit(reason: str) -> OptionError:
    """Return the error of a network that does not attend as is expected here."""
    return OptionError(f"the network of transformers cannot be fed by rows: {reason}")


def _apart(x: Float[Tensor, "heads fed size"], part: RaggedGroup) -> Tensor:
    """Return `[span, heads, new, size]`, slot by slot."""
    return x.reshape(x.shape[0], part.span, part.new, x.shape[-1]).transpose(0, 1)


def _kept(
    counts: Sequence[int], keep: Sequence[int], device: torch.device
) -> Int[Tensor, " kept"] | None:
    if list(keep) == list(counts):
        return None
    kept: list[int] = []
    for stop, count in zip(accumulate(counts), keep, strict=True):
        kept += range(stop - count, stop)
    return torch.tensor(kept, dtype=torch.int64, device=device)
