"""What one call does to the states of recurrent layers: rows that are fed equally much, together.

A layer with a state is called once for each group of rows, with transformers' own cache layers
around the states of these rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, final

import torch
from torch import Tensor
from transformers.cache_utils import Cache as TransformersCache
from transformers.cache_utils import LinearAttentionLayer

from gpt2sdk_transformers.feed import misfit
from gpt2sdk_transformers.mixer import Mixer
from gpt2sdk_transformers.mixers import layer_states
from gpt2sdk_transformers.states import StateKey

if TYPE_CHECKING:
    from gpt2sdk_transformers.recurrent_cache import RecurrentCache


@dataclass(slots=True)
class StateGroup:
    """Slots that are fed equally much, and go through recurrent layers together.

    Attributes:
        new: Tokens fed to each.
        split: Behind which of them the states are wanted besides; 0 for none.
        total: Tokens fed to all slots of the call.
        cache: What layers find their states in, and leave them.
        slots: The slots.
        starts: Where each slot's first token is among the fed ones.
        pages: The states they go on from; empty if they begin.
        halfway: The states behind `split` tokens.
    """

    new: int
    split: int
    total: int
    cache: TransformersCache
    slots: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    halfway: dict[StateKey, Tensor] = field(default_factory=dict)
    # Where its tokens are, by device: each layer asks for it.
    _places: dict[torch.device, Tensor | slice] = field(default_factory=dict)

    @property
    def span(self) -> int:
        """How many slots there are."""
        return len(self.slots)

    def places(self, device: torch.device) -> Tensor | slice:
        """Return where the tokens are among the fed ones, slot by slot."""
        if device not in self._places:
            first, count = self.starts[0], self.span * self.new
            if self.starts == list(range(first, first + count, self.new)):
                self._places[device] = slice(first, first + count)
            else:
                starts = torch.tensor(self.starts, device=device)[:, None]
                self._places[device] = (starts + torch.arange(self.new, device=device)).flatten()
        return self._places[device]

    def pick(self, value: object) -> object:
        """Return what belongs to its tokens, `[span, new, ...]`, of what all have, `[1, fed, ...]`.

        The door to a cache is exchanged for its own.
        """
        if isinstance(value, TransformersCache):
            return self.cache
        if isinstance(value, tuple):
            return tuple(map(self.pick, value))
        if not isinstance(value, Tensor) or value.shape[:2] != (1, self.total):
            return value
        mine = value[0, self.places(value.device)]
        return mine.reshape(self.span, self.new, *value.shape[2:])

    def cut(self, value: object, begin: int, end: int) -> object:
        """Return a stretch of tokens of what was picked."""
        if isinstance(value, tuple):
            return tuple(self.cut(each, begin, end) for each in value)
        if isinstance(value, Tensor) and value.shape[:2] == (self.span, self.new):
            return value[:, begin:end]
        return value

    def join(self, values: Sequence[object]) -> object:
        """Return what was made of stretches of tokens, one behind the other."""
        first = values[0]
        if len(values) == 1:
            return first
        if isinstance(first, tuple):
            return tuple(map(self.join, zip(*values, strict=True)))
        return torch.cat(values, dim=1) if isinstance(first, Tensor) else values[-1]  # type: ignore[arg-type]

    def put(self, out: object, value: object) -> object:
        """Put what was made of its tokens in its places of what is made of all."""
        if isinstance(value, tuple):
            before = out if isinstance(out, tuple) else (None,) * len(value)
            return tuple(map(self.put, before, value))
        if not isinstance(value, Tensor) or value.shape[:2] != (self.span, self.new):
            return value
        rows = value.flatten(0, 1)
        if len(rows) == self.total and isinstance(self.places(value.device), slice):
            return rows.unsqueeze(0)
        if not isinstance(out, Tensor):
            out = value.new_empty(1, self.total, *value.shape[2:])
        out[0, self.places(value.device)] = rows
        return out


@final
class StateFeed:
    """What one call does to the states of a cache.

    Attributes:
        fed: What is fed to each slot: the new tokens, behind those that have to be fed again.
        ran: How many layers with states were called.
    """

    def __init__(
        self,
        cache: "RecurrentCache",
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
    ) -> None:
        """Plan a call whose arguments were checked; nothing is written yet.

        Args:
            cache: What is fed.
            tokens: The new tokens of each slot.
            keep: How many of the last ones are scored.
        """
        self._cache = cache
        self._tokens = tokens
        self.fed = cache.unseen(tokens)
        self._drafted = [kept > 1 for kept in keep]
        self.ran = 0
        groups: dict[tuple[int, int, bool], StateGroup] = {}
        start, total = 0, sum(map(len, self.fed))
        for slot, row in enumerate(self.fed):
            if not row:
                continue
            split, page = cache.split(slot, len(tokens[slot]), keep[slot]), cache.slots[slot].page
            key = len(row), split, page is None
            if key not in groups:
                groups[key] = StateGroup(len(row), split, total, _store(cache.layers))
            groups[key].slots.append(slot)
            groups[key].starts.append(start)
            groups[key].pages += [] if page is None else [page]
            start += len(row)
        self._groups = list(groups.values())

    @property
    def again(self) -> Sequence[int]:
        """How many tokens of each slot are fed again."""
        return [len(all_) - len(new) for all_, new in zip(self.fed, self._tokens, strict=True)]

    def mix(
        self,
        layer: int,
        call: Callable[..., Any],
        mixer: Mixer,
        args: Sequence[object],
        words: Mapping[str, object],
    ) -> Any:  # noqa: ANN401 - as the module returns it
        """Call a module for each group of rows, and return what it makes of all tokens.

        Args:
            layer: Its layer.
            call: Calls it, given its states and whether several tokens go on from some.
            mixer: How it does so.
            args: What it is given: `[1, fed, ...]` for all tokens.
            words: Likewise, by name.
        """
        self.ran += 1
        if words.get("attention_mask") is not None:
            raise misfit("a layer with a state is given a mask")
        out: object = None
        for group in self._groups:
            states = self._enter(group, layer)
            mine = [group.pick(each) for each in args]
            named = {name: group.pick(each) for name, each in words.items()}
            parts = []
            for begin, end in self._stretches(group, layer, steps=mixer.steps):
                goes_on = end - begin > 1 and (begin > 0 or bool(group.pages))
                here = [group.cut(each, begin, end) for each in mine]
                also = {name: group.cut(each, begin, end) for name, each in named.items()}
                parts.append(call(states, goes_on, *here, **also))
            out = group.put(out, group.join(parts))
        return out

    def finish(self) -> None:
        """Let the cache hold the states behind what was fed."""
        cache = self._cache
        for group in self._groups:
            pages = [cache.place(slot, drafted=self._drafted[slot]) for slot in group.slots]
            cache.pages.write(dict(_all_states(group.cache)), pages)
            if group.split:
                pages = [cache.mark(slot, group.split) for slot in group.slots]
                cache.pages.write(group.halfway, pages)
        cache.advance(self._tokens)

    def _enter(self, group: StateGroup, layer: int) -> LinearAttentionLayer:
        """Give a layer what its rows hold of it."""
        if group.cache.layers[layer] is not None:
            raise misfit(f"layer {layer} has states of more than one module")
        made: Any = LinearAttentionLayer()
        group.cache.layers[layer] = made
        for key, state in self._cache.pages.read(layer, group.pages) if group.pages else ():
            made.device, made.dtype = state.device, state.dtype
            if key.what == "conv":
                made.conv_states[key.number] = state
                made.is_conv_states_initialized[key.number] = True
                made.conv_kernel_size[key.number] = state.shape[-1]
            else:
                made.recurrent_states[key.number] = state
                made.is_recurrent_states_initialized[key.number] = True
            made.has_previous_state[key.number] = True
        return cast("LinearAttentionLayer", made)

    def _stretches(
        self, group: StateGroup, layer: int, *, steps: bool
    ) -> Iterator[tuple[int, int]]:
        """Yield what a module is called for at a time, and keep the states behind the split."""
        begin = 0
        for stop in [group.split, group.new] if group.split else [group.new]:
            while begin < stop:
                goes_on = begin > 0 or bool(group.pages)
                end = begin + 1 if steps and goes_on else stop
                yield begin, end
                begin = end
            if begin == group.split:
                states = layer_states(layer, group.cache.layers[layer])
                group.halfway.update((key, state.clone()) for key, state in states)


def _store(layers: int) -> TransformersCache:
    """Return a cache of transformers without its layers."""
    cache = TransformersCache(layers=[])
    cache.layers = [None] * layers  # type: ignore[list-item]
    return cache


def _all_states(cache: TransformersCache) -> Iterator[tuple[StateKey, Tensor]]:
    for layer, held in enumerate(cache.layers):
        if held is not None:
            yield from layer_states(layer, held)
