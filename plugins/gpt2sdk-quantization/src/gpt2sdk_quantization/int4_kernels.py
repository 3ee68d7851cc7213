"""Products with 4-bit matrices, in bfloat16, by torch's kernels for CPUs and for CUDA.

Matrices are worked on in pieces of some rows, so that little memory is needed besides. Each kernel
reads a layout of its own, which depends on the processor. What it was made of is read back by
multiplying it with the identity: with scales of 1 and zeros of 0 the products are the numbers
themselves, without rounding.
"""

from collections.abc import Iterator
from functools import cache

import torch
from jaxtyping import BFloat16, Float, UInt8
from torch import Tensor
from torch.nn import functional

from gpt2sdk_quantization.int4_numbers import (
    MIDDLE,
    PIECE,
    dequantize,
    from_nibbles,
    to_nibbles,
)

# Outputs come in blocks of so many.
_BLOCK = 16
# Layouts are made of blocks of 64 outputs at most: cut there, pieces are what the whole would have.
_CUT = 64
# A CUDA kernel's inner tiles of 16 inputs, best first; at least 2 fit into every group.
_TILES = (8, 4, 2)
# So many rows of the identity at a time.
_IDENTITY_ROWS = 256
# How far products may be from those in float32, in parts of the largest; sums are in bfloat16.
_TOLERANCE = 1e-2


def blocks(outputs: int) -> int:
    """Return how many outputs a kernel's layout has room for.

    >>> blocks(768), blocks(50257)
    (768, 50272)
    """
    return -(-outputs // _BLOCK) * _BLOCK


def piece_rows(inputs: int) -> int:
    """Return how many rows of a matrix are worked on at a time.

    >>> piece_rows(768), piece_rows(100_000)
    (320, 64)
    """
    return max(1, PIECE // (_CUT * inputs)) * _CUT


def pieces(outputs: int, inputs: int) -> Iterator[slice]:
    """Yield the rows of each piece.

    >>> list(pieces(500, 768))
    [slice(0, 320, None), slice(320, 500, None)]
    """
    step = piece_rows(inputs)
    for start in range(0, outputs, step):
        yield slice(start, min(start + step, outputs))


def pack_nibbles(nibbles: UInt8[Tensor, "out half"]) -> Tensor:
    """Return a stored matrix in the layout of the device's kernel."""
    outputs, inputs = len(nibbles), 2 * nibbles.shape[1]
    result, done = None, 0
    for rows in pieces(outputs, inputs):
        piece = pack(from_nibbles(nibbles[rows]))
        if result is None:
            length = len(piece) * blocks(outputs) // blocks(rows.stop - rows.start)
            result = piece.new_empty(length, *piece.shape[1:])
        result[done : done + len(piece)] = piece
        done += len(piece)
    if result is None:
        raise RuntimeError("a matrix without rows")
    return result


def unpack_nibbles(
    packed: Tensor, outputs: int, inputs: int, group_size: int
) -> UInt8[Tensor, "out half"]:
    """Return the stored matrix that was packed, exactly."""
    nibbles = torch.empty(outputs, inputs // 2, dtype=torch.uint8, device=packed.device)
    each = blocks(outputs) // len(packed)
    for rows in pieces(outputs, inputs):
        part = packed[rows.start // each : blocks(rows.stop) // each]
        nibbles[rows] = to_nibbles(unpack(part, rows.stop - rows.start, inputs, group_size))
    return nibbles


def plain_product(
    x: Float[Tensor, "rows in"],
    nibbles: UInt8[Tensor, "out half"],
    scale: BFloat16[Tensor, "out groups"],
    zero: BFloat16[Tensor, "out groups"],
) -> Float[Tensor, "rows out"]:
    """Multiply activations by a stored matrix, as the kernel does: each piece is packed for it.

    Without a kernel, a piece is made floating-point.
    """
    outputs, inputs = len(nibbles), 2 * nibbles.shape[1]
    group_size = inputs // scale.shape[1]
    result = x.new_empty(len(x), outputs, dtype=torch.float32)
    fast = has_kernel(x.device, group_size)
    for rows in pieces(outputs, inputs):
        numbers, scales, zeros = from_nibbles(nibbles[rows]), scale[rows], zero[rows]
        if fast:
            found = product(x, pack(numbers), pack_scales(scales, zeros), group_size)
            result[:, rows] = found[:, : len(numbers)]
        else:
            matrix = dequantize(numbers, scales, zeros)[:, : x.shape[1]]
            kind = torch.float32 if x.device.type == "cpu" else x.dtype
            result[:, rows] = functional.linear(x.to(kind), matrix.to(kind))
    return result


def pack(numbers: UInt8[Tensor, "out in"]) -> Tensor:
    """Return numbers from 0 to 15 in the layout of the device's kernel."""
    numbers = functional.pad(numbers, (0, 0, 0, blocks(len(numbers)) - len(numbers)))
    if numbers.is_cuda:
        tiles = next(tiles for tiles in _TILES if numbers.shape[1] % (16 * tiles) == 0)
        return torch._convert_weight_to_int4pack(  # noqa: SLF001
            numbers[:, ::2] << 4 | numbers[:, 1::2], tiles
        )
    return torch._convert_weight_to_int4pack_for_cpu(numbers.int(), 1)  # noqa: SLF001


def pack_scales(
    scale: BFloat16[Tensor, "out groups"], zero: BFloat16[Tensor, "out groups"]
) -> BFloat16[Tensor, "groups blocks 2"]:
    """Put scales and zeros side by side, as kernels want them."""
    both = torch.stack((scale.t(), zero.t()), dim=-1)
    return functional.pad(both, (0, 0, 0, blocks(len(scale)) - len(scale))).contiguous()


def product(
    x: Float[Tensor, "rows in"],
    packed: Tensor,
    scales: BFloat16[Tensor, "groups blocks 2"],
    group_size: int,
) -> BFloat16[Tensor, "rows blocks"]:
    """Multiply activations by a packed matrix; a row is the same beside any other rows."""
    x = functional.pad(x, (0, scales.shape[0] * group_size - x.shape[1])).bfloat16().contiguous()
    kernel = torch._weight_int4pack_mm if x.is_cuda else torch._weight_int4pack_mm_for_cpu  # noqa: SLF001
    products: Tensor = kernel(x, packed, group_size, scales)
    return products


def unpack(packed: Tensor, outputs: int, inputs: int, group_size: int) -> UInt8[Tensor, "out in"]:
    """Return what was packed, exactly."""
    ones = torch.ones(outputs, inputs // group_size, dtype=torch.bfloat16, device=packed.device)
    scales = pack_scales(ones, torch.zeros_like(ones))
    numbers = torch.empty(outputs, inputs, dtype=torch.uint8, device=packed.device)
    for start in range(0, inputs, _IDENTITY_ROWS):
        count = min(_IDENTITY_ROWS, inputs - start)
        rows = torch.zeros(count, inputs, dtype=torch.bfloat16, device=packed.device)
        rows[:, start : start + count].fill_diagonal_(1.0)
        found = product(rows, packed, scales, group_size)[:, :outputs]
        numbers[:, start : start + count] = (found.t() + MIDDLE).to(torch.uint8)
    return numbers


@cache
def has_kernel(device: torch.device, group_size: int) -> bool:
    """Whether a device has a kernel for groups of this size whose numbers are right."""
    if device.type not in {"cpu", "cuda"}:
        return False
    numbers, x, scale, zero = (each.to(device) for each in _trial(group_size))
    try:
        packed, scales = pack(numbers), pack_scales(scale, zero)
        expected = x @ dequantize(numbers, scale, zero).t()
        products = [
            product(x[:rows], packed, scales, group_size)[:, : len(numbers)].float()
            for rows in (1, 3, len(x))
        ]
        restored = unpack(packed, numbers.shape[0], numbers.shape[1], group_size)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    off = max(
        float((found - expected[: len(found)]).abs().max() / expected.abs().max())
        for found in products
    )
    alike = all(torch.equal(found, products[-1][: len(found)]) for found in products)
    return off < _TOLERANCE and alike and torch.equal(restored, numbers)


def _trial(group_size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return numbers, activations, scales and zeros, the same ones on every machine."""
    outputs, inputs = 100, 3 * group_size
    steps = torch.arange(outputs * inputs)
    numbers = (steps * 7919 % 16).to(torch.uint8).view(outputs, inputs)
    x = torch.sin(0.7 * steps[: 40 * inputs].double()).float().view(40, inputs)
    scale = torch.linspace(0.01, 0.02, outputs * 3).view(outputs, 3).bfloat16()
    zero = torch.linspace(-0.01, 0.01, outputs * 3).view(outputs, 3).bfloat16()
    return numbers, x.bfloat16().float(), scale, zero
