"""4-bit matrices in the order in which bitsandbytes' kernel for CPUs reads them.

In a matrix as it is stored, a byte holds two neighbours of a row: the first in the high half. The
kernel reads 32 rows at once: a byte holds numbers of the same column, of row `r` in the low half
and of row `r + 16` in the high one. Both orders have the same bytes, shuffled, so either can be
made of the other.
"""

from jaxtyping import UInt8
from torch import Tensor, stack

ROWS = 32
"""How many rows are packed together."""


def pack(halves: UInt8[Tensor, "out half"]) -> UInt8[Tensor, "out half"]:
    """Put a stored matrix into the kernel's order.

    Args:
        halves: A multiple of 32 rows.
    """
    rows, width = halves.shape
    groups = halves.view(rows // ROWS, ROWS, width)
    low, high = groups[:, :16], groups[:, 16:]
    first = (high & 0xF0) | (low >> 4)
    second = (high << 4) | (low & 0x0F)
    # [groups, 16, half, 2] -> [groups, half, 16, 2]
    return stack([first, second], dim=-1).transpose(1, 2).reshape(rows, width)


def unpack(packed: UInt8[Tensor, "out half"]) -> UInt8[Tensor, "out half"]:
    """Put a packed matrix back into the order in which it is stored.

    >>> import torch
    >>> halves = torch.arange(64, dtype=torch.uint8).view(32, 2)
    >>> torch.equal(unpack(pack(halves)), halves)
    True
    """
    rows, width = packed.shape
    groups = packed.view(rows // ROWS, width, 16, 2).transpose(1, 2)
    first, second = groups[..., 0], groups[..., 1]
    halves = packed.new_empty(rows // ROWS, ROWS, width)
    halves[:, :16] = (first << 4) | (second & 0x0F)
    halves[:, 16:] = (first & 0xF0) | (second >> 4)
    return halves.view(rows, width)
