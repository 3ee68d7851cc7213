"""Unigram: the same green list everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Detection,
    Detector,
    Logits,
    LogitsProcessor,
    ProcessorRun,
    Rows,
    Session,
    Shared,
    Stage,
)
from gpt2sdk_watermark.green_list import (
    DEFAULT_KEY,
    GreenlistRatio,
    HashingKey,
    count_green,
    green_words,
)
from gpt2sdk_watermark.keyed_hash import extended_by_all, keyed, signed

_SALT = 3


class UnigramWatermark(LogitsProcessor, Detector):
    """Adds `unigram_bias` to the logits of tokens that a keyed hash of their id makes green.

    No context is needed, so it stands more editing than any other; but whoever counts the tokens
    of many texts sees which are preferred, and all texts are skewed the same way.

    Each distinct token is judged once, however often it is used: without the key it is green with
    the probability `greenlist_ratio`, so the number of distinct green ones is binomial. A text that
    says one green word again and again is no evidence.

    Zhao et al., "Provable robust watermarking for AI-generated text", 2023, arXiv:2306.17439; they
    judge every occurrence, with a bound for repetitions, or distinct tokens as here.

    Example:
        >>> from gpt2sdk.testing import process
        >>> mark = UnigramWatermark(unigram_bias=2.0, greenlist_ratio=0.5, hashing_key=7)
        >>> process(mark, torch.zeros(1, 4)).tolist()
        [[0.0, 2.0, 2.0, 2.0]]
        >>> found = mark.detect([1, 1, 1, 3])
        >>> found.statistic, found.count
        (2.0, 2)
    """

    stage: ClassVar[Stage] = Stage.WATERMARK

    unigram_bias: Annotated[
        float, Field(ge=0.0, description="What is added to green tokens' logits, in nats.")
    ] = 0.0
    greenlist_ratio: GreenlistRatio = 0.25
    hashing_key: Annotated[HashingKey, Shared()] = DEFAULT_KEY

    @override
    def start(self, session: Session) -> ProcessorRun:
        base = torch.tensor([[signed(keyed(self.hashing_key, _SALT))]], device=session.device)
        words = extended_by_all(base, session.model.vocab_size)
        return _Run(self.unigram_bias * green_words(words, self.greenlist_ratio))

    @override
    def detect(self, tokens: Sequence[int], start: int = 0) -> Detection:
        words = (keyed(self.hashing_key, _SALT, [token]) for token in tokens[start:])
        return count_green(words, self.greenlist_ratio, len(tokens) - start)


@dataclass(frozen=True)
class _Run:
    """The biases of all tokens, on the session's device."""

    bias: Float[Tensor, "1 vocab"]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits + self.bias
