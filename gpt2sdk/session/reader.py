"""The reader: one model call for the rows of all sessions that want one.

It keeps each model's cache in slots, which rows that have read the same share, and which are copied
when such rows part.
"""

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
from gpt2sdk.session.request import Meter

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


class Errand(NamedTuple):
    """What a row wants of the next model call.

    Attributes:
        seat: The row's.
        prompt: What it continues.
        slot: What it holds; `None` for a row that has read nothing.
        valid: How many tokens of the slot count.
        tokens: What is fed behind them.
        keep: How many last positions are scored.
        history: The layers whose hidden states are wanted of all that is fed.
    """

    seat: int
    prompt: Prompt
    slot: int | None
    valid: int
    tokens: Sequence[int]
    keep: int
    history: Sequence[int] = ()


class Slots:
    """The slots of one model's cache, each with the number of rows that hold it.

    A row that is copied shares its slot with the copy. Only a row that is fed needs a slot of its
    own, so that however often rows fork between two model calls, one gather moves what differs.
    """

    def __init__(self, model: CausalLM) -> None:
        self.model = model
        self.cache = model.make_cache(0)
        self.users = 0
        self._holders: list[int] = []

    def share(self, slot: int | None) -> int | None:
        """Let one more row hold a slot."""
        if slot is not None:
            self._holders[slot] += 1
        return slot

    def release(self, slot: int | None) -> None:
        """Let one row less hold it; what nobody holds goes to the next row that needs one."""
        if slot is not None:
            self._holders[slot] -= 1

    def prepare(self, errands: Sequence[Errand]) -> tuple[list[int], list[int]]:
        """Find each row a slot that no other row holds, cut to what counts of it.

        Returns:
            The slots; and how many rows hold each slot if the model then reads them.
        """
        before, holders = len(self._holders), list(self._holders)
        slots: list[int] = []
        copies: dict[int, int] = {}
        for errand in errands:
            slot = errand.slot
            if slot is None or holders[slot] > 1:
                parent = -1 if slot is None else slot
                # A slot that is let go now keeps its content until all copies are made.
                if slot is not None:
                    holders[slot] -= 1
                slot = holders.index(0) if 0 in holders else len(holders)
                holders[slot : slot + 1] = [1]
                copies[slot] = parent
            slots.append(slot)
        while holders and not holders[-1]:
            holders.pop()
        if copies or len(holders) != before:
            self.cache.fork([copies.get(slot, slot) for slot in range(len(holders))])
        lengths = self.cache.lengths
        if any(lengths[slot] != each.valid for slot, each in zip(slots, errands, strict=True)):
            cuts = list(lengths)
            for slot, errand in zip(slots, errands, strict=True):
                cuts[slot] = errand.valid
            self.cache.rewind(cuts)
        return slots, holders

    def keep(self, holders: list[int]) -> None:
        """Let rows hold the slots that were prepared for them."""
        self._holders = holders

    def restore(self) -> None:
        """Let rows hold what they held: the model has failed."""
        held = len(self.cache.lengths)
        del self._holders[held:]
        self.cache.fork(range(len(self._holders)))

    def leave(self) -> None:
        """Let one branch less have it, and free the memory with the last."""
        self.users -= 1
        if not self.users:
            self.trim()

    def trim(self) -> None:
        """Free the memory if no row holds any."""
        if not any(self._holders):
            self._holders.clear()
            self.cache.fork([])

    def close(self) -> None:
        """Free the cache: nothing can be scored any more."""
        self._holders.clear()
        self.cache.fork([])
        del self.cache


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

    def __init__(self, model: CausalLM) -> None:
        self.model = model
        self._slots: dict[int, Slots] = {}

    def slots(self, model: CausalLM) -> Slots:
        """The cache of a model; all its branches share one."""
        if id(model) not in self._slots:
            self._slots[id(model)] = Slots(model)
        return self._slots[id(model)]

    def read(self, readings: Sequence[Reading]) -> None:
        """Score the ends of these rows' sequences, and what is proposed behind them.

        The model runs once; more often where many positions are kept for their hidden states.

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
            _read(owners[part], errands[part], layers)
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
    for slot, errand in zip(slots, errands, strict=True):
        tokens[slot] = errand.tokens
        keep[slot] = len(errand.tokens) if errand.history else errand.keep
    try:
        scores = held.model.score(held.cache, tokens, keep, layers)
    except BaseException as error:
        held.restore()
        # An error keeps nothing of what the model worked on.
        clear_frames(error.__traceback__.tb_next if error.__traceback__ else None)
        raise
    held.keep(holders)
    ends = list(accumulate(keep))
    stops = [ends[slot] for slot in slots]
    states = [_states(scores, errand, end) for errand, end in zip(errands, stops, strict=True)]
    if any(states):
        scores, stops = _thinned(scores, errands, stops)
    meters: dict[int, Meter] = {}
    for at, (reading, errand) in enumerate(zip(owners, errands, strict=True)):
        meter = reading.meter(errand.prompt)
        meters[id(meter)] = meter
        meter.tokens_fed += len(errand.tokens)
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
