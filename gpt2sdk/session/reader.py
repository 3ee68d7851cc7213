"""The reader: one model call for the rows of all sessions that want one."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Prompt
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.request import Meter
from gpt2sdk.session.slots import Errand, Scored, Slots


class Reading(NamedTuple):
    """What one session wants read.

    Attributes:
        branch: For which of its models.
        seats: Its rows.
        proposals: What was drafted behind each of them.
        meter: Who counts the cost for a prompt.
    """

    branch: Branch
    seats: Sequence[int]
    proposals: Sequence[Sequence[int]]
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

        Each model runs once.
        """
        for slots in {id(each.branch.slots): each.branch.slots for each in readings}.values():
            mine = [each for each in readings if each.branch.slots is slots]
            wanted = [
                (reading, seat, errand)
                for reading in mine
                for seat, errand in reading.branch.errands(reading.seats, reading.proposals)
            ]
            if wanted:
                layers = sorted({layer for reading in mine for layer in reading.branch.layers})
                began = time.perf_counter()
                answers = slots.score([errand for _, _, errand in wanted], layers)
                _settle(mine, wanted, answers, began)

    def trim(self) -> None:
        """Free the caches that no row holds anything of."""
        idle = [key for key, slots in self._slots.items() if slots.trim()]
        for key in idle:
            if self._slots[key].model is not self.model:
                del self._slots[key]

    def close(self) -> None:
        """Free the caches."""
        for slots in self._slots.values():
            slots.close()
        self._slots.clear()


def _settle(
    readings: Sequence[Reading],
    wanted: Sequence[tuple[Reading, int, Errand]],
    answers: Sequence[tuple[int, list[Scored]]],
    began: float,
) -> None:
    """Let branches take in what the model said, and count what it cost."""
    meters: dict[int, Meter] = {}
    for (reading, seat, errand), (slot, scored) in zip(wanted, answers, strict=True):
        meter = reading.meter(reading.branch.rows[seat].prompt)
        meters[id(meter)] = meter
        meter.tokens_fed += len(errand.tokens)
        reading.branch.settle(seat, errand, slot, scored)
    for meter in meters.values():
        meter.model_calls += 1
        meter.began = meter.began or began
    for reading in readings:
        reading.branch.catch_up(reading.seats)
