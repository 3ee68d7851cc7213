"""Activations as whole numbers: one digit of 8 bits, or two for 16."""

from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

Bits = Literal[8, 16]


def top(bits: Bits, base: int) -> int:
    """Return what a row's largest activation becomes: as much as the digits can say.

    >>> top(8, 256), top(16, 256), top(16, 128)
    (127, 32639, 8127)
    """
    most = base // 2 - 1
    return most if bits == 8 else most * (base + 1)


def digits(
    x: Float[Tensor, "rows in"], bits: Bits, base: int
) -> tuple[UInt8[Tensor, "digits in"], Float[Tensor, "rows 1"]]:
    """Write each row as whole numbers from −top to top, in parts of its largest one.

    `x ≈ largest / top · (base·high + low)`, where a digit is its byte less base / 2; with 8 bits
    there is `low` only. The scale is each row's own, as in ZeroQuant's token-wise quantization (Yao
    et al., 2022, arXiv:2206.01861): no row matters to another. Two digits leave outliers, which
    LLM.int8() multiplies apart (Dettmers et al., 2022, arXiv:2208.07339), and all beside them with
    an error of half of largest / top.

    Args:
        x: Activations, in float32.
        bits: How many.
        base: 256, or 128 for kernels whose sums of products of whole bytes overflow.

    Returns:
        The rows' low digits, then their high ones; and each row's largest absolute value.

    Example:
        >>> found, largest = digits(torch.tensor([[1.0, -0.5, 0.0]]), 8, 256)
        >>> found - 128.0, largest
        (tensor([[127., -63.,   0.]]), tensor([[1.]]))
        >>> low, high = digits(torch.tensor([[1.0, -0.5, 0.0]]), 16, 256)[0] - 128.0
        >>> 256 * high + low
        tensor([ 32639., -16319.,      0.])
    """
    middle = base // 2 if bits == 8 else base // 2 * (base + 1)
    # `linalg.vector_norm` and `aminmax` would take ten times as long.
    largest = x.abs().amax(dim=-1, keepdim=True).clamp_min_(1e-30)
    # Positive, so that cutting off the fraction rounds to the nearest.
    shifted = x.div(largest).mul_(top(bits, base)).add_(middle + 0.5).to(torch.int32)
    if bits == 8:
        return shifted.to(torch.uint8), largest
    # Conversion keeps the last 8 bits, which are the low digit of base 256.
    low = (shifted if base == 256 else shifted.bitwise_and(base - 1)).to(torch.uint8)
    high = shifted.bitwise_right_shift_(base.bit_length() - 1).to(torch.uint8)
    return torch.cat((low, high)), largest


def joined(
    products: Float[Tensor, "digits out"], bits: Bits, base: int
) -> Float[Tensor, "rows out"]:
    """Put the digits' products together to those of the rows, in parts of largest / top.

    >>> joined(torch.tensor([[3.0], [1.0]]), 16, 256)
    tensor([[259.]])
    """
    if bits == 8:
        return products
    rows = len(products) // 2
    return torch.add(products[:rows], products[rows:], alpha=base)
