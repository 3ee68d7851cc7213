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
        at: Where the position stands among those the call returned.
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
        slots, holders, parents = self._own(errands)
        if parents != list(range(len(self._holders))):
            self._cache.fork(parents)
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
            # The rows hold what they held; and an error keeps nothing of what the model worked on.
            del self._holders[len(parents) :]
            self._cache.fork(range(len(self._holders)))
            clear_frames(error.__traceback__.tb_next if error.__traceback__ else None)
            raise
        self._holders = holders
        first, at = [], 0
        for count in keep:
            first.append(at)
            at += count
        return [
            (slot, [Scored(scores, first[slot] + i) for i in range(keep[slot])]) for slot in slots
        ]

    def trim(self) -> bool:
        """Free the memory if no row holds any; says whether it did."""
        if any(self._holders):
            return False
        self._holders.clear()
        self._cache.fork([])
        return True

    def close(self) -> None:
        """Free the cache: nothing can be scored any more."""
        self._holders.clear()
        self._cache.fork([])
        del self._cache

    def _own(self, errands: Sequence[Errand]) -> tuple[list[int], list[int], list[int]]:
        """Find each row a slot that no other row holds.

        Returns:
            The slots; how many rows hold each slot then; and what each is a copy of.
        """
        holders, parents = list(self._holders), list(range(len(self._holders)))
        slots = []
        for errand in errands:
            slot = errand.slot
            if slot is None or holders[slot] > 1:
                parent = -1 if slot is None else slot
                # A slot that is let go now keeps its content until all copies are made.
                if slot is not None:
                    holders[slot] -= 1
                slot = holders.index(0) if 0 in holders else len(holders)
                holders[slot : slot + 1] = [1]
                parents[slot : slot + 1] = [parent]
            slots.append(slot)
        while holders and not holders[-1]:
            holders.pop()
        return slots, holders, parents[: len(holders)]


def gather_logits(positions: Sequence[Scored]) -> Logits:
    """Logits at these positions; the call's own tensor where they are just what it returned."""
    return gather_rows([(each.scores.logits, each.at) for each in positions])


def gather_hidden_states(positions: Sequence[Scored], layer: int) -> Float[Tensor, "rows embed"]:
    """Hidden states of one layer at these positions."""
    return gather_rows([(each.scores.hidden_states[layer], each.at) for each in positions])


def gather_rows(lines: Sequence[tuple[Tensor, int]]) -> Tensor:
    """Stack rows of tensors, each given by its tensor and its number there; a view where it can."""
    source, first = lines[0]
    if any(tensor is not source for tensor, _ in lines):
        return torch.stack([tensor[at] for tensor, at in lines])
    index = [at for _, at in lines]
    if index == list(range(first, first + len(index))):
        return source if len(index) == source.shape[0] else source[first : first + len(index)]
    return source[torch.tensor(index, device=source.device)]
