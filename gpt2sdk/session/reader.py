"""The reader: one model call for the rows of all sessions that want one."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from traceback import clear_frames
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.components.causal_lm import CausalLM, Scores
from gpt2sdk.components.records import Prompt
from gpt2sdk.session.prefix_cache import PrefixCache
from gpt2sdk.session.request import Meter
from gpt2sdk.session.slots import Errand, Slots

POSITIONS = 1024
"""Most positions of all rows that one call keeps for their hidden states: it has logits of each."""


class Scored(NamedTuple):
    """One position that was scored.

    Attributes:
        scores: The model call.
        at: Where the position stands among those the call returned.
    """

    scores: Scores
    at: int


class Follows(Protocol):
    """What a model knows of rows: a branch."""

    slots: Slots
    layers: Sequence[int]

    def errands(
        self, seats: Sequence[int], proposals: Sequence[Sequence[int]] | None
    ) -> list[Errand]:
        """What to feed these rows, with the tokens proposed behind them."""

    def settle(
        self, errand: Errand, slot: int, scored: list[Scored], states: Mapping[int, Tensor]
    ) -> None:
        """Take in what the model said: scored positions, and hidden states of what was fed."""

    def catch_up(self) -> None:
        """Give rows what others have read for them."""


class Reading(NamedTuple):
    """What one session wants read.

    Attributes:
        branch: For which of its models.
        seats: Its rows.
        proposals: What was drafted behind each of them; `None` for nothing at all.
        meter: Who counts the cost for a prompt.
    """

    branch: Follows
    seats: Sequence[int]
    proposals: Sequence[Sequence[int]] | None
    meter: Callable[[Prompt], Meter]


class Reader:
    """Keeps the cache of each model, and runs models for whoever has something to read.

    Attributes:
        model: What scores the rows' own sequences.
    """

    def __init__(self, model: CausalLM, prefixes: PrefixCache | None = None) -> None:
        """Start without caches.

        Args:
            model: What scores the rows' own sequences.
            prefixes: What was read in other calls of this model.
        """
        self.model = model
        self._prefixes = prefixes
        self._slots: dict[int, Slots] = {}

    def slots(self, model: CausalLM) -> Slots:
        """The cache of a model; all its branches share one."""
        if id(model) not in self._slots:
            prefixes = self._prefixes if model is self.model else None
            self._slots[id(model)] = Slots(model, prefixes)
        return self._slots[id(model)]

    def read(self, readings: Sequence[Reading]) -> None:
        """Score the ends of these rows' sequences, and what is proposed behind them.

        The model runs once; more often where many positions are kept for their hidden states, or
        where rows can take over what others read first.

        Args:
            readings: Of one model: see `by_model`.
        """
        owners: list[Reading] = []
        errands: list[Errand] = []
        for reading in readings:
            wanted = reading.branch.errands(reading.seats, reading.proposals)
            errands += wanted
            owners += [reading] * len(wanted)
        layers = sorted({layer for reading in readings for layer in reading.branch.layers})
        for part in portions(errands):
            mine, wanted = owners[part], errands[part]
            for wave in mine[0].branch.slots.waves(wanted):
                _read([mine[at] for at in wave], [wanted[at] for at in wave], layers)
        for reading in readings:
            reading.branch.catch_up()

    def trim(self) -> None:
        """Free the caches that no row holds anything of."""
        for slots in self._slots.values():
            slots.trim()

    def forget(self) -> None:
        """Let go of models that no branch is of any more, but for the rows' own."""
        if len(self._slots) > 1:
            self._slots = {
                key: slots
                for key, slots in self._slots.items()
                if slots.users or slots.model is self.model
            }

    def close(self) -> None:
        """Free the caches."""
        for slots in self._slots.values():
            slots.close()
        self._slots.clear()


def _read(owners: Sequence[Reading], errands: Sequence[Errand], layers: Sequence[int]) -> None:
    """Run the model once, and give each reading's branch what it wanted."""
    began = time.perf_counter()
    held = owners[0].branch.slots
    slots, holders = held.prepare(errands)
    tokens: list[Sequence[int]] = [()] * len(holders)
    keep = [0] * len(holders)
    try:
        recalled = held.recall(errands, slots)
        for slot, errand, known in zip(slots, errands, recalled, strict=True):
            tokens[slot] = errand.tokens[known:] if known else errand.tokens
            keep[slot] = len(errand.tokens) if errand.history else errand.keep
        scores = held.model.score(held.cache, tokens, keep, layers)
    except BaseException as error:
        held.restore()
        # An error keeps nothing of what the model worked on.
        clear_frames(error.__traceback__.tb_next if error.__traceback__ else None)
        raise
    held.keep(holders)
    held.remember(errands, slots)
    ends = list(accumulate(keep))
    stops = [ends[slot] for slot in slots]
    states = [_states(scores, errand, end) for errand, end in zip(errands, stops, strict=True)]
    again = scores.fed_again
    if any(states):
        scores, stops = _thinned(scores, errands, stops)
    meters: dict[int, Meter] = {}
    for at, (reading, errand) in enumerate(zip(owners, errands, strict=True)):
        meter = reading.meter(errand.prompt)
        meters[id(meter)] = meter
        meter.tokens_fed += len(errand.tokens) - recalled[at]
        if again:
            meter.tokens_fed += again[slots[at]]
        scored = [Scored(scores, place) for place in range(stops[at] - errand.keep, stops[at])]
        reading.branch.settle(errand, slots[at], scored, states[at])
    for meter in meters.values():
        meter.model_calls += 1
        meter.began = meter.began or began


def _states(scores: Scores, errand: Errand, end: int) -> Mapping[int, Tensor]:
    """Hidden states of all that was fed for an errand, whose positions end there."""
    if not errand.history:
        return {}
    start = end - len(errand.tokens)
    return {layer: scores.hidden_states[layer][start:end] for layer in errand.history}


def _thinned(
    scores: Scores, errands: Sequence[Errand], stops: Sequence[int]
) -> tuple[Scores, list[int]]:
    """What a call found out at scored positions only, and where those of each errand end.

    Of positions that were kept for their hidden states, no logits are held on to.
    """
    places = [
        at
        for errand, stop in zip(errands, stops, strict=True)
        for at in range(stop - errand.keep, stop)
    ]
    chosen = torch.tensor(places, dtype=torch.int64, device=scores.logits.device)
    hidden = {layer: each[chosen] for layer, each in scores.hidden_states.items()}
    return Scores(scores.logits[chosen], hidden), list(accumulate(each.keep for each in errands))


def portions(errands: Sequence[Errand]) -> Iterator[slice]:
    """Cut errands into calls that keep few enough positions; what keeps no history is no reason.

    >>> prompt = Prompt(0, (0,))
    >>> long = Errand(0, prompt, None, 0, [0] * 600, 1, (2,))
    >>> list(portions([long, long, Errand(0, prompt, None, 0, [0] * 600, 1)]))
    [slice(0, 1, None), slice(1, 3, None)]
    """
    start = total = 0
    for at, errand in enumerate(errands):
        kept = len(errand.tokens) if errand.history else 0
        if total and total + kept > POSITIONS:
            yield slice(start, at)
            start, total = at, 0
        total += kept
    if errands:
        yield slice(start, len(errands))


def by_model(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    """What one call of each model can read."""
    groups: dict[int, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(id(reading.branch.slots), []).append(reading)
    yield from groups.values()


def gather_logits(positions: Iterable[Scored]) -> Float[Tensor, "rows vocab"]:
    """Logits at these positions; the call's own tensor where they are just what it returned."""
    return gather_rows([(scores.logits, at) for scores, at in positions])


def gather_hidden_states(positions: Iterable[Scored], layer: int) -> Float[Tensor, "rows embed"]:
    """Hidden states of one layer at these positions."""
    return gather_rows([(scores.hidden_states[layer], at) for scores, at in positions])


def gather_rows(lines: Sequence[tuple[Tensor, int]]) -> Tensor:
    """Stack rows of tensors, each given by its tensor and its number there; a view where it can."""
    source, first = lines[0]
    index: list[int] = []
    for tensor, at in lines:
        if tensor is not source:
            return torch.stack([tensor[at] for tensor, at in lines])
        index.append(at)
    if index == list(range(first, first + len(index))):
        return source if len(index) == source.shape[0] else source[first : first + len(index)]
    return source[torch.tensor(index, device=source.device)]
