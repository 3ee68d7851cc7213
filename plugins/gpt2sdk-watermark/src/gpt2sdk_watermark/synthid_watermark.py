"""SynthID: a tournament among tokens, whose matches a keyed hash decides."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Detection, Detector, Logits, Rows, Sampler, Tokens, row_sums
from gpt2sdk_watermark.fresh_contexts import (
    ContextWidth,
    MaxProbability,
    first_uses,
    fresh_contexts,
)
from gpt2sdk_watermark.green_list import DEFAULT_KEY, HashingKey
from gpt2sdk_watermark.keyed_hash import extended_by_all, keyed, signed
from gpt2sdk_watermark.tails import coins_tail

_SALT = 5
_HEAVIEST = 10


class SynthidWatermark(Sampler, Detector):
    """Draws the winner of a tournament of `2 ** tournament_layers` draws, in closed form.

    In each layer `l` two tokens meet, and the one whose keyed bit `g_l` is 1 wins; a coin decides
    between equals. So each layer makes `p_i (1 + g_i - sum_j p_j g_j)` of `p_i`, and the token is
    drawn from what the last one leaves, with the row's own randomness. The bits are those of a
    hash of the token and the last `context_width` tokens that the row has written. Over keys each
    token keeps its probability.

    Tokens are drawn ordinarily where a context is not whole, or was there before in the row or in
    what it took back, and where the best token has more than `max_probability`.

    To find the mark the bits of the tokens are added up, over each context's first use, the first
    layer's weighing ten times as much as the last one's, since it leaves the most. Without the key
    each bit is a fair coin, and the p-value is the tail of their weighted sum.

    It replaces the draw, so strategies without a sampler, such as `beam`, refuse it.

    Unlike in transformers one key makes the bits of all layers, no table of a device's generator
    is involved, what is remembered is the row's own, and the first token is drawn ordinarily. The
    closed form is the same. There is no trained Bayesian detector: it is fitted to a model, a
    temperature and texts, and its score is no p-value.

    Dathathri et al., "Scalable watermarking for identifying large language model outputs", 2024,
    doi:10.1038/s41586-024-08025-4.

    Example:
        The bits 1, 0 and 1 in one layer: the tokens that have it beat the second.

        >>> probs = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
        >>> tournament(probs, torch.tensor([[1, 0, 1]]), 1).tolist()
        [[0.625, 0.0625, 0.3125]]
    """

    hashing_key: HashingKey = DEFAULT_KEY
    context_width: ContextWidth = 4
    max_probability: MaxProbability = 1.0
    tournament_layers: Annotated[
        int, Field(ge=1, le=63, description="How many matches a token has to win.")
    ] = 30

    @override
    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        contexts = fresh_contexts(rows, self.context_width)
        if not any(contexts):
            return rows.race(logits)
        words = [[signed(keyed(self.hashing_key, _SALT, each or ()))] for each in contexts]
        hashes = extended_by_all(torch.tensor(words, device=rows.device), logits.shape[1])
        probs = logits.softmax(-1, dtype=torch.float64)
        marked = torch.tensor([each is not None for each in contexts], device=logits.device)
        marked = marked & (probs.amax(-1) <= self.max_probability)
        won = tournament(probs, hashes, self.tournament_layers).log().to(logits.dtype)
        return rows.race(won.where(marked[:, None], logits))

    @override
    def detect(self, tokens: Sequence[int], start: int = 0) -> Detection:
        weights = layer_weights(self.tournament_layers)
        uses = list(first_uses(tokens, start, self.context_width))
        words = [keyed(self.hashing_key, _SALT, [*context, token]) for context, token in uses]
        total = sum(
            weight * sum(word >> layer & 1 for word in words)
            for layer, weight in enumerate(weights)
        )
        count = len(uses)
        return Detection(
            coins_tail(weights, count, total),
            float(total),
            count * sum(weights) / 2,
            math.sqrt(count * sum(weight**2 for weight in weights)) / 2,
            count,
            len(tokens) - start,
        )


def layer_weights(layers: int) -> list[int]:
    """What each layer's bit counts, falling from ten to one.

    >>> layer_weights(4)
    [10, 7, 4, 1]
    """
    steps = max(layers - 1, 1)
    return [_HEAVIEST - round((_HEAVIEST - 1) * layer / steps) for layer in range(layers)]


def tournament(
    probs: Float[Tensor, "rows vocab"], words: Int[Tensor, "rows vocab"], layers: int
) -> Float[Tensor, "rows vocab"]:
    """Return the distribution of the winner, given the distribution of the contestants.

    Args:
        probs: That of each contestant.
        words: The bits of each token, the first layer's being the lowest.
        layers: How many there are.
    """
    for layer in range(layers):
        bits = ((words >> layer) & 1).to(probs.dtype)
        share = row_sums(probs * bits).clamp(max=1.0)
        probs = probs * bits.add_(1.0 - share)
    return probs
