"""Recurrent layers, which see one row at a time, in a network that is fed one packed sequence.

All else of a network takes the tokens of all rows one behind the other. A layer with a state takes
a batch of rows that are fed equally much, so its module is called once for each such group, with
transformers' own cache layers around the states of these rows.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, cast, final

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache as TransformersCache
from transformers.cache_utils import LinearAttentionLayer

from gpt2sdk_transformers.feed import UNDER_WAY, misfit
from gpt2sdk_transformers.recurrent_cache import RecurrentCache
from gpt2sdk_transformers.scan import CARRIED, SCAN, carried_scan
from gpt2sdk_transformers.states import StateKey

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WRITES = frozenset({"update_conv_state", "update_recurrent_state"})
# What a scan is given that goes on from a state, in the code of modules that can.
_GOES_ON = frozenset({"initial_state", "initial_states"})


class ByRows:
    """A recurrent layer that is called once for each group of rows."""

    layer_idx: int
    carried: ClassVar[Callable[..., Any] | None]
    steps: ClassVar[bool]

    def forward(self, hidden_states: Tensor, *args: object, **words: object) -> Any:  # noqa: ANN401 - as transformers' module returns it
        """Compute all rows' tokens of the call that is under way; else as transformers does."""
        own = super().forward  # type: ignore[misc]
        feed = UNDER_WAY.get()
        if feed is None or feed.states is None:
            return own(hidden_states, *args, **words)
        carried = own if self.carried is None else partial(self.carried, self)
        return feed.states.mix(self.layer_idx, own, carried, hidden_states, args, words, self.steps)


def make_mixers(network: "PreTrainedModel") -> int:
    """Let modules with a state see rows one by one; return how many there are."""
    found = [module for module in network.modules() if _names(type(module)) & _WRITES]
    for module in found:
        kind = type(module)
        names, forward = _names(kind), inspect.unwrap(cast("FunctionType", kind.forward))
        scans = SCAN in names and SCAN in forward.__globals__
        module.__class__ = type(
            f"ByRows{kind.__name__}",
            (ByRows, kind),
            {
                "__module__": kind.__module__,
                "carried": staticmethod(_carried(forward)) if scans else None,
                "steps": not scans and not names & _GOES_ON and "update_recurrent_state" in names,
            },
        )
    return len(found)


def _names(kind: type) -> frozenset[str]:
    """Return what the methods of a class call and name."""
    if not issubclass(kind, nn.Module) or not kind.__module__.startswith("transformers.models."):
        return frozenset()
    names: set[str] = set()
    for member in vars(kind).values():
        if inspect.isfunction(member):
            code = inspect.unwrap(member).__code__
            names.update(code.co_names)
            for each in code.co_consts:
                names.update(each if isinstance(each, tuple) else ())
    return frozenset(name for name in names if isinstance(name, str))


def _carried(forward: FunctionType) -> FunctionType:
    """Return a module's code with a scan that goes on from the state under way."""
    scan = carried_scan(forward.__globals__[SCAN])
    made = FunctionType(
        forward.__code__,
        {**forward.__globals__, SCAN: scan},
        forward.__name__,
        forward.__defaults__,
        forward.__closure__,
    )
    made.__kwdefaults__ = forward.__kwdefaults__
    return made


@dataclass(slots=True)
class StateGroup:
    """Slots that are fed equally much, and go through recurrent layers together.

    Attributes:
        slots: The slots.
        starts: Where each slot's first token is among the fed ones.
        new: Tokens fed to each.
        split: Behind which of them the states are wanted besides; 0 for none.
        pages: The states they go on from; empty if they begin.
        cache: What layers find their states in, and leave them.
        halfway: The states behind `split` tokens.
    """

    slots: list[int]
    starts: list[int]
    new: int
    split: int
    pages: list[int]
    cache: TransformersCache
    halfway: dict[StateKey, Tensor] = field(default_factory=dict)

    def places(self, device: torch.device) -> Tensor | None:
        """Return where the tokens are, `[slots, new]`; `None` if they are one stretch."""
        first = self.starts[0]
        if self.starts == list(range(first, first + self.new * len(self.starts), self.new)):
            return None
        starts = torch.tensor(self.starts, device=device)
        return starts[:, None] + torch.arange(self.new, device=device)


@final
class StateFeed:
    """What one call does to the states of a cache.

    Attributes:
        ran: How many layers with states were called.
    """

    def __init__(
        self,
        cache: RecurrentCache,
        tokens: Sequence[Sequence[int]],
        fed: Sequence[Sequence[int]],
        keep: Sequence[int],
    ) -> None:
        """Plan a call whose arguments were checked; nothing is written yet.

        Args:
            cache: What is fed.
            tokens: The new tokens of each slot.
            fed: The same behind what has to be fed again.
            keep: How many of the last ones are scored.
        """
        self._cache = cache
        self._tokens = tokens
        self._drafted = [kept > 1 for kept in keep]
        self._total = sum(map(len, fed))
        self.ran = 0
        groups: dict[tuple[int, int, bool], StateGroup] = {}
        start = 0
        for slot, row in enumerate(fed):
            if not row:
                continue
            split, page = cache.split(slot, len(tokens[slot]), keep[slot]), cache.slots[slot].page
            group = groups.setdefault(
                (len(row), split, page is None),
                StateGroup([], [], len(row), split, [], _store(cache.layers)),
            )
            group.slots.append(slot)
            group.starts.append(start)
            group.pages += [] if page is None else [page]
            start += len(row)
        self._groups = list(groups.values())

    def mix(  # noqa: PLR0913, PLR0917 - what a module was called with
        self,
        layer: int,
        own: Callable[..., Any],
        carried: Callable[..., Any],
        x: Tensor,
        args: Sequence[object],
        words: Mapping[str, object],
        steps: bool,  # noqa: FBT001 - likewise
    ) -> Any:  # noqa: ANN401 - as the module returns it
        """Call a module for each group of rows, and return what it makes of all tokens.

        Args:
            layer: Its layer.
            own: Its code.
            carried: The same, for several tokens that go on from a state.
            x: `[1, fed, embed]`.
            args: What else it is given.
            words: Likewise, by name.
            steps: Whether it is to see tokens one by one if it goes on from a state.
        """
        self.ran += 1
        if words.get("attention_mask") is not None:
            raise misfit("a layer with a state is given a mask")
        out: Tensor | None = None
        more: tuple[object, ...] | None = None
        for group in self._groups:
            self._enter(group, layer)
            places = group.places(x.device)
            given = [_picked(each, group, places, self._total) for each in (x, *args)]
            named = {name: _picked(each, group, places, self._total) for name, each in words.items()}
            parts: list[Tensor] = []
            for begin, end in self._stretches(group, layer, steps=steps):
                goes_on = begin > 0 or bool(group.pages)
                call = carried if goes_on and end - begin > 1 else own
                here = _Cut(begin, end, len(group.slots), group.new)
                token = CARRIED.set(_states_of(group, layer) if call is carried else None)
                try:
                    made = call(*map(here, given), **{k: here(each) for k, each in named.items()})
                finally:
                    CARRIED.reset(token)
                if isinstance(made, tuple):
                    made, *more = made
                parts.append(made)
            mine = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
            if len(self._groups) == 1 and places is None:
                out = mine.reshape(1, self._total, -1)
                break
            if out is None:
                out = mine.new_empty(1, self._total, mine.shape[-1])
            if places is None:
                out[0, group.starts[0] : group.starts[0] + mine.shape[0] * mine.shape[1]] = (
                    mine.flatten(0, 1)
                )
            else:
                out[0, places] = mine
        return out if more is None else (out, *more)

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

    def _enter(self, group: StateGroup, layer: int) -> None:
        """Give a layer what its rows hold of it."""
        if group.cache.layers[layer] is not None:
            raise misfit(f"layer {layer} has states of more than one module")
        made = LinearAttentionLayer()
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

    def _stretches(self, group: StateGroup, layer: int, *, steps: bool) -> Iterator[tuple[int, int]]:
        """Yield what a module is called for at a time, and keep the states behind the split."""
        begin = 0
        for stop in [group.split, group.new] if group.split else [group.new]:
            while begin < stop:
                goes_on = begin > 0 or bool(group.pages)
                end = begin + 1 if steps and goes_on else stop
                yield begin, end
                begin = end
            if begin == group.split:
                states = _layer_states(layer, group.cache.layers[layer])
                group.halfway.update((key, state.clone()) for key, state in states)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Cuts what is there for each token of each row, `[rows, new, ...]`, to a stretch of tokens."""

    begin: int
    end: int
    rows: int
    new: int

    def __call__(self, value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(self, value))
        if isinstance(value, Tensor) and value.shape[:2] == (self.rows, self.new):
            return value[:, self.begin : self.end]
        return value


def _picked(value: object, group: StateGroup, places: Tensor | None, total: int) -> object:
    """Return what belongs to a group's tokens, `[rows, new, ...]`, of what has all, `[1, fed, ...]`.

    The door to a cache is exchanged for the group's own.
    """
    if isinstance(value, TransformersCache):
        return group.cache
    if isinstance(value, tuple):
        return tuple(_picked(each, group, places, total) for each in value)
    if not isinstance(value, Tensor) or value.shape[:2] != (1, total):
        return value
    if places is not None:
        return value[0, places]
    first, count = group.starts[0], len(group.slots)
    part = value[0, first : first + count * group.new]
    return part.reshape(count, group.new, *value.shape[2:])


def _store(layers: int) -> TransformersCache:
    """Return a cache of transformers without its layers."""
    cache = TransformersCache(layers=[])
    cache.layers = [None] * layers  # type: ignore[list-item]
    return cache


def _states_of(group: StateGroup, layer: int) -> Iterator[Tensor]:
    """Yield the states of a layer's scans; one that has heads scans for each."""
    state = group.cache.layers[layer].recurrent_states[0]
    yield from state.unbind(1) if state.ndim > 3 else [state]


def _layer_states(layer: int, held: LinearAttentionLayer) -> Iterator[tuple[StateKey, Tensor]]:
    for what, states in (("conv", held.conv_states), ("recurrent", held.recurrent_states)):
        for number, state in states.items():
            if state is not None:
                yield StateKey(layer, what, number), state


def _all_states(cache: TransformersCache) -> Iterator[tuple[StateKey, Tensor]]:
    for layer, held in enumerate(cache.layers):
        if held is not None:
            yield from _layer_states(layer, held)
