"""No repeated n-grams: a sequence of n tokens is not said twice."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, Rows, Stage
from gpt2sdk_sampling.history import rule_out
from gpt2sdk_sampling.suffix import last_tokens


class NoRepeatNgramSize(LogitsProcessor):
    """Rules out every token that would complete an n-gram the row already has.

    The prompt counts, as in transformers. With n = 1 no token is said twice, those of the prompt
    included; a row that runs out of tokens is an error.

    Paulus, Xiong and Socher, "A deep reinforced model for abstractive summarization", 2017,
    arXiv:1705.04304.

    Example:
        After `0 1 0` the pair `0 1` would be said twice.

        >>> from gpt2sdk.testing import make_rows, process
        >>> pairs = NoRepeatNgramSize(no_repeat_ngram_size=2)
        >>> process(pairs, [[1.0, 2.0, 3.0]], make_rows([[0, 1, 0]])).tolist()
        [[1.0, -inf, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 50

    no_repeat_ngram_size: Annotated[
        int, Field(ge=0, description="Length of sequences not said twice, in tokens; 0 is off.")
    ] = 0

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        size = self.no_repeat_ngram_size
        tokens = rows.tokens
        if not 0 < size <= tokens.shape[1]:
            return logits
        windows = tokens.unfold(1, size, 1)
        ends = torch.arange(size, tokens.shape[1] + 1, device=tokens.device)
        within = ends <= rows.lengths[:, None]
        prefix = last_tokens(rows, size - 1)
        again = within & (windows[..., :-1] == prefix[:, None]).all(-1)
        return rule_out(logits, windows[..., -1].where(again, 0), again)
