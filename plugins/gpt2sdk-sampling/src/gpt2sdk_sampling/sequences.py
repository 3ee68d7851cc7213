"""Token sequences, side by side, and which of them a row is about to complete."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gpt2sdk import Rows
from gpt2sdk_sampling.suffix import last_tokens

_ANY = -2
"""In a sequence's beginning: whatever stands there, or nothing."""


@dataclass(frozen=True)
class Sequences:
    """Sequences as tensors: what must stand before, and what then completes them.

    Beginnings are right-aligned: of the sequences `1 2 3` and `4` they are `1 2` and `* *`.

    Attributes:
        beginnings: All tokens of each but the last.
        ends: The last tokens.
        alone: Which sequences are one token.

    Example:
        >>> from gpt2sdk.testing import make_rows
        >>> some = Sequences.of([(1, 2), (0,)], "cpu")
        >>> some.due(make_rows([[0, 1], [1, 0]]))
        tensor([[ True,  True],
                [False,  True]])
    """

    beginnings: Int[Tensor, "sequences time"]
    ends: Int[Tensor, " sequences"]
    alone: Bool[Tensor, " sequences"]

    @classmethod
    def of(cls, sequences: Sequence[tuple[int, ...]], device: torch.device | str) -> "Sequences":
        """Put sequences of at least one token each on a device; there may be none."""
        longest = max((len(each) for each in sequences), default=1)
        beginnings = [[_ANY] * (longest - len(each)) + list(each[:-1]) for each in sequences]
        return cls(
            torch.tensor(beginnings, dtype=torch.int64, device=device).view(
                len(sequences), longest - 1
            ),
            torch.tensor([each[-1] for each in sequences], dtype=torch.int64, device=device),
            torch.tensor([len(each) == 1 for each in sequences], dtype=torch.bool, device=device),
        )

    def due(self, rows: Rows) -> Bool[Tensor, "rows sequences"]:
        """Which sequences each row has all tokens of but the last."""
        before = last_tokens(rows, self.beginnings.shape[1])[:, None]
        return ((before == self.beginnings) | (self.beginnings == _ANY)).all(-1)
