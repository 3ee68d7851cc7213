"""The last tokens of rows of different lengths, side by side."""

import torch
from jaxtyping import Int
from torch import Tensor

from gpt2sdk import Rows

NONE = -1
"""Stands where a row has no token."""


def last_tokens(rows: Rows, count: int) -> Int[Tensor, "rows count"]:
    """Return the rows' last tokens, right-aligned, -1 where a row is shorter.

    >>> from gpt2sdk.testing import make_rows
    >>> last_tokens(make_rows([[5, 6, 7], [8]]), 2)
    tensor([[ 6,  7],
            [-1,  8]])
    """
    tokens = rows.tokens
    places = rows.lengths[:, None] + torch.arange(-count, 0, device=tokens.device)
    return tokens.gather(1, places.clamp(min=0)).where(places >= 0, NONE)
