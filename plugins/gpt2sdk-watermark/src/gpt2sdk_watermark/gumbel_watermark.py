"""The Gumbel watermark: a race whose numbers are a keyed function of the last tokens."""

import math
from collections.abc import Sequence
from typing import Annotated, Self

import torch
from jaxtyping import Float64, Int
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Detection, Detector, Logits, OptionError, Rows, Sampler, Tokens
from gpt2sdk_watermark.fresh_contexts import (
    ContextWidth,
    MaxProbability,
    first_uses,
    fresh_contexts,
)
from gpt2sdk_watermark.green_list import DEFAULT_KEY, HashingKey
from gpt2sdk_watermark.keyed_hash import extended_by_all, keyed, signed
from gpt2sdk_watermark.tails import gamma_tail

_SALT = 4
_BITS = 52
_HALF = 0.5


class GumbelWatermark(Sampler, Detector):
    """Picks the token of the largest `u_i ** (1 / p_i)`, with `u` a keyed hash of its context.

    The context is the last `context_width` tokens that the row has written. Over keys each token
    is picked with its probability, so one token says nothing of the mark to whoever has no key;
    but behind one context the same token is always picked. Tokens are drawn ordinarily where a
    context is not whole, or was there before in the row or in what it took back, and where
    the best token has more than `max_probability`. So rows of one prompt differ as far as their
    first `context_width` tokens do. A `second_key`, used with `mixing_probability` by a coin of the
    row's own, brings variety back.

    To find the mark `-log(1 - u)` of the tokens is added up, over each context's first use. Without
    the key that is the sum of as many exponential numbers, and the p-value a tail of the gamma
    distribution; with two keys both numbers of each token are added.

    It stands behind all processors and replaces the draw, so strategies that do not draw with a
    sampler, such as `beam` and `greedy`, refuse it. Strategies that copy rows in the midst of a
    text get copies that go the same way.

    `u` is `(n + 1/2) / 2 ** 52` with 52 bits of the hash: never 0 or 1.

    Aaronson, "Watermarking of large language models", 2022 (talk); Kuditipudi et al., "Robust
    distortion-free watermarks for language models", 2023, arXiv:2307.15593, whose numbers depend
    on the place and not on the context.

    Example:
        Behind token 2 the numbers of three tokens are 0.27, 0.92 and 0.56.

        >>> from gpt2sdk.testing import choose, make_rows
        >>> mark = GumbelWatermark(context_width=1, hashing_key=7)
        >>> choose(mark, torch.zeros(1, 3), make_rows([[0, 2]])).tolist()
        [1]
        >>> mark.detect([2, 0]).count
        1
    """

    hashing_key: HashingKey = DEFAULT_KEY
    context_width: ContextWidth = 4
    max_probability: MaxProbability = 1.0
    second_key: Annotated[
        int | None,
        Field(ge=0, lt=1 << 64, description="Another key, for variety; None for none."),
    ] = None
    mixing_probability: Annotated[
        float | None,
        Field(ge=0.0, le=1.0, description="How often the second key is used; half the time."),
    ] = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.second_key == self.hashing_key:
            raise OptionError(
                f"second_key is {self.second_key}, as hashing_key is, so that every number would "
                "count twice: give another key, or none",
                name="second_key",
                value=self.second_key,
            )
        if self.second_key is None and self.mixing_probability is not None:
            raise OptionError(
                "mixing_probability has no effect without second_key: give one, or leave it out",
                name="mixing_probability",
                value=self.mixing_probability,
            )
        return self

    @override
    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        contexts = fresh_contexts(rows, self.context_width)
        ordinary = rows.race(logits)
        if not any(contexts):
            return ordinary
        marked = torch.tensor([each is not None for each in contexts], device=logits.device)
        if self.max_probability < 1.0:
            marked = marked & (logits.softmax(-1).amax(-1) <= self.max_probability)
        numbers = _uniforms(extended_by_all(self._words(contexts, rows), logits.shape[1]))
        leads = (logits - logits.amax(-1, keepdim=True)).double() - numbers.log().neg().log()
        return leads.argmax(-1).where(marked, ordinary)

    @override
    def detect(self, tokens: Sequence[int], start: int = 0) -> Detection:
        keys = [self.hashing_key, *([] if self.second_key is None else [self.second_key])]
        uses = list(first_uses(tokens, start, self.context_width))
        total = math.fsum(
            -math.log1p(-_uniform(keyed(key, _SALT, [*context, token])))
            for context, token in uses
            for key in keys
        )
        count = len(uses) * len(keys)
        return Detection(
            gamma_tail(count, total),
            total,
            float(count),
            math.sqrt(count),
            len(uses),
            len(tokens) - start,
        )

    def _words(
        self, contexts: Sequence[tuple[int, ...] | None], rows: Rows
    ) -> Int[Tensor, "rows 1"]:
        """The hash of each row's context, with the key that is used there."""
        first, second = (
            torch.tensor([[signed(keyed(key, _SALT, each or ()))] for each in contexts])
            for key in (self.hashing_key, self.second_key or 0)
        )
        first, second = first.to(rows.device), second.to(rows.device)
        if self.second_key is None:
            return first
        share = _HALF if self.mixing_probability is None else self.mixing_probability
        coins = rows.uniform(f"{self.name}/key") < share
        return second.where(coins[:, None], first)


def _uniforms(words: Int[Tensor, "rows vocab"]) -> Float64[Tensor, "rows vocab"]:
    """Numbers between 0 and 1, of the upper bits of hashes."""
    upper = (words >> (64 - _BITS)) & ((1 << _BITS) - 1)
    return upper.double().add_(0.5).mul_(2.0**-_BITS)


def _uniform(word: int) -> float:
    """The same of one hash.

    >>> _uniform(0) > 0.0, _uniform((1 << 64) - 1) < 1.0
    (True, True)
    """
    return ((word >> (64 - _BITS)) + 0.5) * 2.0**-_BITS
