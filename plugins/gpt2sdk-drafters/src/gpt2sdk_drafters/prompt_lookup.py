"""Prompt lookup: what followed the last few tokens when they stood there before."""

import sys
from array import array
from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Int
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Drafter, Rows

_NATIVE = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"


class PromptLookup(Drafter):
    """Proposes what followed an earlier occurrence of a row's last tokens, in prompt or output.

    The longest run of last tokens that occurs earlier counts, and of its occurrences the latest.
    What is copied may reach into the copy itself, so a loop is continued as far as is asked for.
    It pays where a text repeats its prompt or itself: summaries, edits, code, lists. It costs no
    model, and some microseconds per row.

    Saxena, "Prompt lookup decoding", 2023, https://github.com/apoorvumang/prompt-lookup-decoding.

    Example:
        `6 7` stood at the beginning, and `8 9` came after it.

        >>> from gpt2sdk.testing import make_rows
        >>> rows = make_rows([[6, 7, 8, 9, 6, 7], [1, 2, 3, 4, 5, 6]])
        >>> PromptLookup().propose(rows, 2).tolist()
        [[8, 9], [-1, -1]]
    """

    max_matching_ngram_size: Annotated[
        int, Field(ge=1, description="Most last tokens that are looked for.")
    ] = 3
    min_matching_ngram_size: Annotated[
        int, Field(ge=1, description="Fewest last tokens that must have occurred.")
    ] = 1

    @model_validator(mode="after")
    def _check_sizes(self) -> "PromptLookup":
        if self.min_matching_ngram_size > self.max_matching_ngram_size:
            raise ValueError("expects min_matching_ngram_size up to max_matching_ngram_size")
        return self

    @override
    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        drafts = [self._follow(history, k) for history in rows.histories()]
        return torch.tensor(drafts, dtype=torch.int64, device=rows.device)

    def _follow(self, history: Sequence[int], count: int) -> list[int]:
        """Return `count` tokens that may come next, or as many -1.

        >>> PromptLookup()._follow([5, 1, 2, 1, 2], 5)  # 1 2 is repeated two tokens later
        [1, 2, 1, 2, 1]
        """
        # With token ids as the characters of a string, a search is one call at memory's speed: 10
        # microseconds for 1,000 tokens. An index would have to follow every fork and rewind.
        spelled = array("I", history).tobytes().decode(_NATIVE, "surrogatepass")
        end = len(spelled)
        longest = min(self.max_matching_ngram_size, end - 1)
        for size in range(longest, self.min_matching_ngram_size - 1, -1):
            at = spelled.rfind(spelled[end - size :], 0, end - 1)
            if at >= 0:
                period = end - size - at
                return [history[end - period + i % period] for i in range(count)]
        return [-1] * count
