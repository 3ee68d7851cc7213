"""A few rows at a time, so that what is made in between stays in a core's cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

# So many rows of a vocabulary of 50,000 are what an allocator keeps at hand, too.
_ROWS_AT_A_TIME = 2


def parts(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield some rows of each tensor at a time on CPUs; elsewhere all at once.

    >>> [part.tolist() for (part,) in parts(torch.tensor([[1], [2], [3]]))]
    [[[1], [2]], [[3]]]
    """
    together = _ROWS_AT_A_TIME if tensors[0].device.type == "cpu" else max(len(tensors[0]), 1)
    return zip(*(torch.split(each, together) for each in tensors), strict=True)
