"""Scored positions: references into what model calls returned, gathered without waste."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.components.causal_lm import Scores
from gpt2sdk.shapes import Logits


class Scored(NamedTuple):
    """One position that was scored.

    Attributes:
        scores: The model call.
        at: The position's place among those the call returned.
    """

    scores: Scores
    at: int


def gather_logits(positions: Sequence[Scored]) -> Logits:
    """Logits at these positions; the call's own tensor where they are just what it returned."""
    return gather_rows([(each.scores.logits, each.at) for each in positions])


def gather_hidden_states(positions: Sequence[Scored], layer: int) -> Float[Tensor, "rows embed"]:
    """Hidden states of one layer at these positions."""
    return gather_rows([(each.scores.hidden_states[layer], each.at) for each in positions])


def gather_rows(places: Sequence[tuple[Tensor, int]]) -> Tensor:
    """Stack rows of tensors, each given by its tensor and its place there."""
    source = places[0][0]
    if any(tensor is not source for tensor, _ in places):
        return torch.stack([tensor[at] for tensor, at in places])
    index = [at for _, at in places]
    if len(index) == source.shape[0] and index == list(range(len(index))):
        return source
    return source[torch.tensor(index, device=source.device)]
