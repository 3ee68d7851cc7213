"""Slots: a model's cache, shared by rows that have read the same and copied when they part."""

from collections.abc import Sequence
from traceback import clear_frames
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.components.causal_lm import CausalLM, Scores
from gpt2sdk.shapes import Logits


class Scored(NamedTuple):
    """One position that was scored.

    Attributes:
        scores: The model call.
        at: The position's place among those the call returned.
    """

    scores: Scores
    at: int


class Errand(NamedTuple):
    """What a row wants of the next model call.

    Attributes:
        slot: What it holds; `None` for a row that has read nothing.
        valid: How many tokens of the slot count.
        tokens: What is fed behind them.
        keep: How many last positions are scored.
    """

    slot: int | None
    valid: int
    tokens: Sequence[int]
    keep: int


class Slots:
    """The slots of one model's cache, each with the number of rows that hold it.

    A row that is copied shares its slot with the copy. Only a row that is fed needs a slot of its
    own, so that however often rows fork between two model calls, one gather moves what differs.
    """

    def __init__(self, model: CausalLM) -> None:
        self.model = model
        self._cache = model.make_cache(0)
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

    def score(
        self, errands: Sequence[Errand], layers: Sequence[int]
    ) -> list[tuple[int, list[Scored]]]:
        """Run the model once, for rows of any session.

        Returns:
            For each errand the slot that its row holds from now on, and the positions it wanted.
        """
        slots = self._own(errands)
        lengths = list(self._cache.lengths)
        tokens: list[Sequence[int]] = [()] * len(lengths)
        keep = [0] * len(lengths)
        cuts = list(lengths)
        for slot, errand in zip(slots, errands, strict=True):
            tokens[slot], keep[slot], cuts[slot] = errand.tokens, errand.keep, errand.valid
        if cuts != lengths:
            self._cache.rewind(cuts)
        try:
            scores = self.model.score(self._cache, tokens, keep, layers)
        except BaseException as error:
            # What the model was at work on is not kept by an error's traceback.
            clear_frames(error.__traceback__.tb_next if error.__traceback__ else None)
            raise
        first, at = [], 0
        for count in keep:
            first.append(at)
            at += count
        return [
            (slot, [Scored(scores, first[slot] + i) for i in range(keep[slot])]) for slot in slots
        ]

    def close(self) -> None:
        """Free the cache: nothing can be scored any more."""
        self._holders.clear()
        self._cache.fork([])
        del self._cache

    def _own(self, errands: Sequence[Errand]) -> list[int]:
        """Give each row a slot that no other row holds: one gather, and none where they have."""
        parents = list(range(len(self._holders)))
        slots = []
        moved = False
        for errand in errands:
            slot = errand.slot
            if slot is None or self._holders[slot] > 1:
                self.release(slot)
                parent = -1 if slot is None else slot
                slot = self._free()
                parents[slot : slot + 1] = [parent]
                self._holders[slot] = 1
                moved = True
            slots.append(slot)
        if moved:
            while not self._holders[-1]:
                self._holders.pop()
            self._cache.fork(parents[: len(self._holders)])
        return slots

    def _free(self) -> int:
        """The first slot that nobody holds, or a new one."""
        if 0 in self._holders:
            return self._holders.index(0)
        self._holders.append(0)
        return len(self._holders) - 1


def gather_logits(positions: Sequence[Scored]) -> Logits:
    """Logits at these positions; the call's own tensor where they are just what it returned."""
    return gather_rows([(each.scores.logits, each.at) for each in positions])


def gather_hidden_states(positions: Sequence[Scored], layer: int) -> Float[Tensor, "rows embed"]:
    """Hidden states of one layer at these positions."""
    return gather_rows([(each.scores.hidden_states[layer], each.at) for each in positions])


def gather_rows(places: Sequence[tuple[Tensor, int]]) -> Tensor:
    """Stack rows of tensors, each given by its tensor and its place there; a view where it can."""
    source, first = places[0]
    if any(tensor is not source for tensor, _ in places):
        return torch.stack([tensor[at] for tensor, at in places])
    index = [at for _, at in places]
    if index == list(range(first, first + len(index))):
        return source if len(index) == source.shape[0] else source[first : first + len(index)]
    return source[torch.tensor(index, device=source.device)]
