"""How well a model predicts a text it was not trained on."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from gpt2sdk_train.module_layout import ModuleLayout
from gpt2sdk_train.network_objective import NetworkObjective
from gpt2sdk_train.objective import Objective
from gpt2sdk_train.packing import PackedTokens, windows

# Tokens of one forward pass: enough for fast products, few enough for any memory.
_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class ValidationScore:
    """What a text costs.

    Attributes:
        nats: The sum of −ln p over the predicted tokens.
        tokens: How many tokens were predicted.
        nbytes: UTF-8 bytes of the documents.
    """

    nats: float
    tokens: int
    nbytes: int

    @property
    def loss(self) -> float:
        """Nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """The exponential of the loss; infinite where a float has no room for it."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte: comparable between vocabularies."""
        return self.nats / math.log(2.0) / self.nbytes


def score(
    objective: Objective | NetworkObjective,
    packed: PackedTokens,
    *,
    size: int,
    stride: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> ValidationScore:
    """Score a text in windows; the model is put into evaluation mode and back.

    Args:
        objective: The model.
        packed: The text. Its first token is predicted from the end token that closes its last
            document, so every token counts.
        size: Tokens of a window.
        stride: New tokens of each window but the first; `size` of them by default, so windows lie
            side by side. Fewer give each token more context and take longer.
        part: Score only every n-th window from the i-th, as (i, n): the share of one process.
    """
    tokens = torch.cat([packed.tokens[-1:], packed.tokens]).to(torch.int64)
    cut = list(windows(len(tokens), size, stride or size))[part[0] :: part[1]]
    training = ModuleLayout.of(objective.model).root.training
    objective.eval()
    nats, count = 0.0, 0
    try:
        for batch in _alike(cut, max(1, _TOKENS // size)):
            losses = objective.losses(_stacked(tokens, batch).to(objective.model.device))
            for row, (start, end, done) in zip(losses, batch, strict=True):
                nats += row[done - start :].double().sum().item()
                count += end - done
    finally:
        objective.train(training)
    return ValidationScore(nats, count, packed.nbytes)


def _alike(cut: list[tuple[int, int, int]], most: int) -> list[list[tuple[int, int, int]]]:
    """Group neighbouring windows of one length."""
    batches: list[list[tuple[int, int, int]]] = []
    for window in cut:
        last = batches[-1] if batches else []
        if last and len(last) < most and last[0][1] - last[0][0] == window[1] - window[0]:
            last.append(window)
        else:
            batches.append([window])
    return batches


def _stacked(
    tokens: Int[Tensor, " tokens"], batch: list[tuple[int, int, int]]
) -> Int[Tensor, "windows size"]:
    return torch.stack([tokens[start : end + 1] for start, end, _ in batch])
