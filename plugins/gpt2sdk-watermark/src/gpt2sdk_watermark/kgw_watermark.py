"""KGW: tokens of a green list, which the tokens before choose, are made likelier."""

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Detection, Detector, Logits, LogitsProcessor, Rows, Shared, Stage
from gpt2sdk_watermark.green_list import (
    DEFAULT_KEY,
    GreenlistRatio,
    HashingKey,
    count_green,
    green_words,
)
from gpt2sdk_watermark.keyed_hash import extended, extended_by_all, extended_each, keyed, signed

_LEFT, _SELF = 1, 2


class KgwWatermark(LogitsProcessor, Detector):
    """Adds `kgw_bias` to the logits of green tokens; counts green tokens to find the mark.

    A token is green with the probability `greenlist_ratio`, by a keyed hash of it and its context:

    - `lefthash`: the last `context_width` tokens. A token's colour is told by `context_width + 1`.
    - `selfhash`: a hash of the least of the hashes of `(x, token)`, where `x` is each of the last
      `context_width - 1` tokens and the token itself. It stands some editing, since most changes
      leave the least one.

    The prompt's last tokens are context too; where there is less than a whole context nothing is
    added. It shifts the distribution, so a model that is sure is barely marked, and one that is not
    loses quality as the bias grows. It acts under beams: they prefer green hypotheses.

    Without a mark the number of green ones among the distinct hashes is binomial, and the p-value
    its tail; the papers' `z` is `z_score`. Of the hashes, not of the n-grams: with `selfhash`
    different n-grams may have one hash, and count once.

    Unlike in transformers a token's colour does not depend on the device or on torch's version,
    `lefthash` hashes all of the context and not its last token alone, and `selfhash` judges every
    token and not the forty best. So the marks of the two are not each other's: processors and
    detectors of transformers work here as they are.

    Kirchenbauer et al., "A watermark for large language models", 2023, arXiv:2301.10226; "On the
    reliability of watermarks for large language models", 2023, arXiv:2306.04634.

    Example:
        Behind token 2 the tokens 0, 1 and 3 happen to be green.

        >>> from gpt2sdk.testing import make_rows, process
        >>> mark = KgwWatermark(kgw_bias=2.0, greenlist_ratio=0.5, hashing_key=7)
        >>> process(mark, torch.zeros(1, 4), make_rows([[2]])).tolist()
        [[2.0, 2.0, 0.0, 2.0]]
        >>> found = mark.detect([2, 1, 2, 3])
        >>> found.statistic, found.count
        (3.0, 3)
    """

    stage: ClassVar[Stage] = Stage.WATERMARK

    kgw_bias: Annotated[
        float, Field(ge=0.0, description="What is added to green tokens' logits, in nats.")
    ] = 0.0
    greenlist_ratio: GreenlistRatio = 0.25
    hashing_key: Annotated[HashingKey, Shared()] = DEFAULT_KEY
    seeding_scheme: Annotated[
        Literal["lefthash", "selfhash"],
        Field(description="Whether the token itself is part of what its colour is hashed of."),
    ] = "lefthash"
    context_width: Annotated[int, Field(ge=1, le=64, description="How many tokens are hashed.")] = 1

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        needed = self._before
        contexts = [
            tokens[len(tokens) - needed :] if len(tokens) >= needed else None
            for tokens in rows.histories()
        ]
        words = self._words([each or [0] * needed for each in contexts], logits)
        whole = torch.tensor([each is not None for each in contexts], device=logits.device)
        green = green_words(words, self.greenlist_ratio) & whole[:, None]
        return logits + self.kgw_bias * green

    @override
    def detect(self, tokens: Sequence[int], start: int = 0) -> Detection:
        words = self._words_of(tokens, start)
        return count_green(words, self.greenlist_ratio, len(tokens) - start)

    @property
    def _before(self) -> int:
        """How many tokens before one its colour depends on."""
        return self.context_width - (self.seeding_scheme == "selfhash")

    def _words(
        self, contexts: Sequence[Sequence[int]], logits: Logits
    ) -> Int[Tensor, "rows vocab"]:
        """The hashes of every token behind these contexts."""
        vocab_size, device = logits.shape[1], logits.device
        if self.seeding_scheme == "lefthash":
            words = [[signed(keyed(self.hashing_key, _LEFT, each))] for each in contexts]
            return extended_by_all(torch.tensor(words, device=device), vocab_size)
        base = signed(keyed(self.hashing_key, _SELF))
        own = extended_by_all(torch.tensor([[base]], device=device), vocab_size)
        least = extended_by_all(own, vocab_size).expand(len(contexts), -1)
        for place in range(self._before):
            words = [
                [signed(keyed(self.hashing_key, _SELF, [context[place]]))] for context in contexts
            ]
            pairs = extended_by_all(torch.tensor(words, device=device), vocab_size)
            least = torch.minimum(least, pairs)
        # The least of several is no uniform number; its hash is.
        return extended_each(least, torch.zeros(1, dtype=torch.int64, device=device))

    def _words_of(self, tokens: Sequence[int], start: int) -> Iterator[int]:
        """The hash of every judged token of a text."""
        for at in range(max(start, self._before), len(tokens)):
            context, token = tokens[at - self._before : at], tokens[at]
            if self.seeding_scheme == "lefthash":
                yield keyed(self.hashing_key, _LEFT, [*context, token])
            else:
                base = keyed(self.hashing_key, _SELF)
                words = (extended(extended(base, other), token) for other in (*context, token))
                yield extended(min(words, key=signed), 0)
