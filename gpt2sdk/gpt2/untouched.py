"""Zeros whose memory the system gives where it is written to, and not before."""

import mmap
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

# Smaller ones are taken from what the process has already, which is faster.
_LEAST = 2**20


def untouched_zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros; large ones on a CPU take memory page by page, as they are written to.

    The C library clears what it hands out from its heap, and so takes all of it at once. A cache
    has room for as many tokens in each slot as the longest one holds: most of it may never be used.

    >>> untouched_zeros((2, 3), torch.float32, torch.device("cpu"))
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    nbytes = prod(shape) * dtype.itemsize
    if device.type != "cpu" or nbytes < _LEAST or not hasattr(mmap, "MAP_PRIVATE"):
        return torch.zeros(shape, dtype=dtype, device=device)
    pages = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=dtype).view(*shape)
