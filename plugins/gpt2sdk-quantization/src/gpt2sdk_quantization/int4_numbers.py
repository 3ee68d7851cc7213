"""Matrices in 4 bits: whole numbers from 0 to 15, with a scale and a zero for each group."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

# In the middle of 0 to 15: what `zero` is the value of.
MIDDLE = 8
# How far the ends of a group are drawn in, at first; the best is refitted.
_SHRINKS = (1.0, 0.92, 0.84, 0.76)
_REFITS = 2
# Rows are worked on so many numbers at a time, to need little memory.
PIECE = 2**18

Groups = tuple[UInt8[Tensor, "rows in"], Float[Tensor, "rows groups"], Float[Tensor, "rows groups"]]


def quantize(rows: Float[Tensor, "rows in"], group_size: int) -> Groups:
    """Return q, s and z with `w ≈ (q − 8)·s + z`, of small squared error in each group.

    A group's ends are drawn in by several factors, and the one of least squared error is kept.
    Then, in turns, s and z are fitted to the numbers q by least squares, and q is rounded anew, as
    HQQ does with another norm (Badri and Shaji, 2023, "Half-Quadratic Quantization of Large
    Machine Learning Models"). What is returned is rounded to the stored type, bfloat16, before q
    is made for the last time.

    Args:
        rows: Whole rows; their width is a multiple of `group_size`.
        group_size: How many neighbouring numbers of a row share a scale.
    """
    groups = rows.float().view(len(rows), -1, group_size)
    scale, zero = _drawn_in(groups)
    kept = _error(groups, scale, zero)
    for _ in range(_REFITS):
        better = _fitted(groups, _rounded(groups, scale, zero), scale, zero)
        error = _error(groups, *better)
        scale, zero, kept = _least((scale, zero, kept), (*better, error))
    scale, zero = scale.bfloat16(), zero.bfloat16()
    numbers = _rounded(groups, scale.float(), zero.float()) + MIDDLE
    return numbers.to(torch.uint8).flatten(-2), scale.squeeze(-1), zero.squeeze(-1)


def dequantize(
    numbers: UInt8[Tensor, "rows in"],
    scale: Float[Tensor, "rows groups"],
    zero: Float[Tensor, "rows groups"],
) -> Float[Tensor, "rows in"]:
    """Return `(q − 8)·s + z` in float32.

    >>> one = torch.ones(1, 1)
    >>> dequantize(torch.tensor([[0, 8, 15]], dtype=torch.uint8), 0.5 * one, one)
    tensor([[-3.0000,  1.0000,  4.5000]])
    """
    groups = numbers.float().sub_(MIDDLE).view(*scale.shape, -1)
    groups.mul_(scale.float()[..., None]).add_(zero.float()[..., None])
    return groups.view(numbers.shape)


def to_nibbles(numbers: UInt8[Tensor, "rows in"]) -> UInt8[Tensor, "rows half"]:
    """Put two numbers into each byte, the first one into its lower half.

    >>> to_nibbles(torch.tensor([[1, 15]], dtype=torch.uint8))
    tensor([[241]], dtype=torch.uint8)
    """
    return torch.bitwise_or(numbers[:, ::2], numbers[:, 1::2] << 4)


def from_nibbles(nibbles: UInt8[Tensor, "rows half"]) -> UInt8[Tensor, "rows in"]:
    """Take bytes apart.

    >>> from_nibbles(torch.tensor([[241]], dtype=torch.uint8))
    tensor([[ 1, 15]], dtype=torch.uint8)
    """
    return torch.stack((nibbles & 15, nibbles >> 4), dim=-1).flatten(-2)


def padded(width: int, group_size: int) -> int:
    """Return how wide rows are when their last group is whole.

    >>> padded(100, 64)
    128
    """
    return -(-width // group_size) * group_size


def quantize_slabs(
    slabs: Iterator[Tensor], shape: tuple[int, int], group_size: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize a matrix that comes in slabs; return its nibbles, scales and zeros.

    The last group of a row is filled up with copies of its last number, which change neither its
    least nor its greatest one; activations there are zeros.
    """
    outputs, width = shape[0], padded(shape[1], group_size)
    nibbles = torch.empty(outputs, width // 2, dtype=torch.uint8, device=device)
    scale, zero = (
        torch.empty(outputs, width // group_size, dtype=torch.bfloat16, device=device)
        for _ in range(2)
    )
    start = 0
    for slab in slabs:
        for piece in torch.split(slab, max(1, PIECE // width)):
            end = start + len(piece)
            rows = functional.pad(piece.float(), (0, width - shape[1]), mode="replicate")
            numbers, scales, zeros = quantize(rows, group_size)
            nibbles[start:end].copy_(to_nibbles(numbers))
            scale[start:end].copy_(scales)
            zero[start:end].copy_(zeros)
            start = end
    return nibbles, scale, zero


def _rounded(groups: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return groups.sub(zero).div_(scale).round_().clamp_(-MIDDLE, MIDDLE - 1)


def _error(groups: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Squared error of each group."""
    found = _rounded(groups, scale, zero).mul_(scale).add_(zero)
    error: Tensor = found.sub_(groups).square_().sum(dim=-1, keepdim=True)
    return error


def _drawn_in(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scale and zero of least error, among ends drawn in by several factors."""
    low, high = torch.aminmax(groups, dim=-1, keepdim=True)
    best = None
    for shrink in _SHRINKS:
        scale = ((high - low) * (shrink / 15)).clamp_min_(1e-20)
        zero = low * shrink + MIDDLE * scale
        found = scale, zero, _error(groups, scale, zero)
        best = found if best is None else _least(best, found)
    if best is None:
        raise RuntimeError("no factor to draw in the ends of a group")
    return best[0], best[1]


def _least(
    first: tuple[Tensor, Tensor, Tensor], second: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Keep, for each group, the scale and zero whose error, the last, is less."""
    less = second[2] < first[2]
    scale, zero, error = (torch.where(less, b, a) for a, b in zip(first, second, strict=True))
    return scale, zero, error


def _fitted(groups: Tensor, numbers: Tensor, scale: Tensor, zero: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scale and zero of least squares for given numbers."""
    middle, centre = numbers.mean(-1, keepdim=True), groups.mean(-1, keepdim=True)
    spread = numbers - middle
    variance = spread.square().sum(-1, keepdim=True)
    slope = spread.mul_(groups - centre).sum(-1, keepdim=True).div_(variance.clamp_min(1e-20))
    usable = (variance > 0) & (slope > 1e-20)
    return torch.where(usable, slope, scale), torch.where(usable, centre - slope * middle, zero)
