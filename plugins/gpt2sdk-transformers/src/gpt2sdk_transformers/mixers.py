"""Recurrent layers, which see one row at a time, in a network that is fed one packed sequence.

All else of a network takes the tokens of all rows one behind the other. A module with a state takes
a batch of rows that are fed equally much: here it is found, and told apart by how it goes on from a
state that it is given.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from threading import RLock
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache as TransformersCache
from transformers.cache_utils import LinearAttentionLayer

from gpt2sdk_transformers.feed import UNDER_WAY
from gpt2sdk_transformers.mixer import Mixer
from gpt2sdk_transformers.scan import CARRIED, SCAN, carried_scan
from gpt2sdk_transformers.states import StateKey

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MODELS = "transformers.models."
# What a module calls that has a state in its cache.
_WRITES = frozenset({"update_conv_state", "update_recurrent_state"})
# What scans are given that go on from a state, in the code of modules that can.
_GOES_ON = frozenset({"initial_state", "initial_states"})
# What a module has in itself instead (RecurrentGemma), with the module that has its recurrence.
_INSIDE = frozenset({"conv1d_state", "rg_lru"})
_LOCK = RLock()
"""Held by who has put states into a module: other threads may want to."""


class ByRows:
    """A recurrent layer that is called once for each group of rows."""

    layer_idx: int
    mixer: ClassVar[Mixer]

    def forward(self, hidden_states: Tensor, *args: object, **words: object) -> Any:  # noqa: ANN401 - as transformers' module returns it
        """Compute all rows' tokens of the call that is under way; else as transformers does."""
        own = super().forward  # type: ignore[misc]
        feed = UNDER_WAY.get()
        if feed is None or feed.states is None:
            return own(hidden_states, *args, **words)
        call = partial(_call, self, own)
        return feed.states.mix(self.layer_idx, call, self.mixer, (hidden_states, *args), words)


def make_mixers(network: "PreTrainedModel") -> int:
    """Let modules with a state see rows one by one; return how many there are."""
    found = [
        (path, module, mixer)
        for path, module in network.named_modules()
        if (mixer := _mixer(type(module))) is not None
    ]
    for path, module, mixer in found:
        kind = type(module)
        if issubclass(kind, ByRows):
            continue
        members = {"__module__": kind.__module__, "mixer": mixer}
        module.__class__ = type(f"ByRows{kind.__name__}", (ByRows, kind), members)
        if not hasattr(module, "layer_idx"):
            module.layer_idx = next(int(each) for each in path.split(".") if each.isdigit())
    return len(found)


def state_nbytes(block: nn.Module, width: int, dtype: torch.dtype) -> int:
    """Return how many bytes the states of a block's modules take for one row.

    They are called on the meta device: how large states are, only their code says.

    Args:
        block: With or without numbers.
        width: Of the residual stream.
        dtype: In which it computes.
    """
    total = 0
    for module in block.modules():
        if isinstance(module, ByRows):
            hollow = deepcopy(module).to("meta", dtype)
            states = LinearAttentionLayer()
            store = TransformersCache(layers=[states])
            hollow.layer_idx = 0
            x = torch.empty(1, 1, width, dtype=dtype, device="meta")
            words: dict[str, object] = {"cache": store}
            if module.mixer.inside:
                places = torch.zeros(1, 1, dtype=torch.int64, device="meta")
                words |= {"position_ids": places, "attention_mask": None}
            with torch.no_grad():
                own = super(ByRows, hollow).forward  # type: ignore[misc]
                _call(hollow, own, states, False, x, **words)  # noqa: FBT003 - as its type says
            total += sum(state.nbytes for _, state in layer_states(0, states))
    return total


def layer_states(layer: int, held: Any) -> Iterator[tuple[StateKey, Tensor]]:  # noqa: ANN401 - a layer of transformers' cache
    """Yield the states that a cache layer has."""
    for what, states in (("conv", held.conv_states), ("recurrent", held.recurrent_states)):
        for number, state in states.items():
            if state is not None:
                yield StateKey(layer, what, number), state


def _mixer(kind: type) -> Mixer | None:
    """Say how a kind of module goes on from a state; `None` for one without."""
    if not issubclass(kind, nn.Module) or not kind.__module__.startswith(_MODELS):
        return None
    names = _names(kind)
    if names >= _INSIDE:
        return Mixer(steps=True, inside=True)
    if not names & _WRITES:
        return None
    forward = inspect.unwrap(cast("FunctionType", kind.forward))
    if SCAN in names and SCAN in forward.__globals__:
        return Mixer(_carried(forward))
    return Mixer(steps="update_recurrent_state" in names and not names & _GOES_ON)


def _names(kind: type) -> frozenset[str]:
    """Return what the methods of a class, and of those of transformers it comes of, name."""
    names: set[str] = set()
    theirs = [each for each in kind.__mro__ if each.__module__.startswith(_MODELS)]
    for member in [member for each in theirs for member in vars(each).values()]:
        if inspect.isfunction(member):
            code = inspect.unwrap(member).__code__
            names.update(code.co_names)
            for each in code.co_consts:
                names.update(each if isinstance(each, tuple) else ())
    return frozenset(name for name in names if isinstance(name, str))


def _carried(forward: FunctionType) -> FunctionType:
    """Return a module's code with a scan that goes on from the state under way."""
    words = {**forward.__globals__, SCAN: carried_scan(forward.__globals__[SCAN])}
    code, defaults, cells = forward.__code__, forward.__defaults__, forward.__closure__
    made = FunctionType(code, words, forward.__name__, defaults, cells)
    made.__kwdefaults__ = forward.__kwdefaults__
    return made


def _call(
    module: ByRows,
    own: Callable[..., Any],
    states: LinearAttentionLayer,
    goes_on: bool,  # noqa: FBT001 - who calls it has no words
    *args: object,
    **words: object,
) -> Any:  # noqa: ANN401 - as the module returns it
    """Call a module for one group of rows.

    Args:
        module: The module.
        own: Its own code.
        states: What it goes on from.
        goes_on: Whether several tokens go on from a state.
        args: What it is given.
        words: Likewise, by name.
    """
    if module.mixer.inside:
        with _put_inside(cast("Any", module), states):
            return own(*args, **words)
    if module.mixer.forward is None or not goes_on:
        return own(*args, **words)
    token = CARRIED.set(_scanned(states))
    try:
        return module.mixer.forward(module, *args, **words)
    finally:
        CARRIED.reset(token)


@contextmanager
def _put_inside(module: Any, states: LinearAttentionLayer) -> Iterator[None]:  # noqa: ANN401 - a module of RecurrentGemma
    """Put states into a module that has them in itself, and take them out again."""
    with _LOCK:
        module.conv1d_state = states.conv_states[0]
        module.rg_lru.recurrent_states = states.recurrent_states[0]
        try:
            yield
            states.conv_states[0] = module.conv1d_state
            states.recurrent_states[0] = module.rg_lru.recurrent_states
        finally:
            module.conv1d_state = module.rg_lru.recurrent_states = None


def _scanned(states: LinearAttentionLayer) -> Iterator[Tensor]:
    """Yield the states of a layer's scans; one that has heads scans for each."""
    state = cast("Tensor", states.recurrent_states[0])
    yield from state.unbind(1) if state.ndim > 3 else [state]
