"""Products with matrices in 4 bits as they are stored, some rows at a time."""

from collections.abc import Iterator
from functools import cache
from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from gpt2sdk_bitsandbytes import library, packing
from gpt2sdk_bitsandbytes.scheme import Numbers, Scheme

# So many numbers are packed or expanded at a time.
_PIECE = 2**18
# How far products with a packed matrix may be from those with the stored one, in parts of their
# norm: activations, statistics and products are in bfloat16.
_TOLERANCE = 0.02


def piece_rows(width: int, block_size: int) -> int:
    """Return how many rows are worked on at a time: whole blocks, a multiple of 32.

    >>> piece_rows(768, 64), piece_rows(100, 1024)
    (320, 2560)
    """
    step = max(packing.ROWS, block_size // gcd(width, block_size))
    return max(1, _PIECE // (step * width)) * step


def pieces(
    numbers: Numbers, scheme: Scheme, shape: tuple[int, int]
) -> Iterator[tuple[slice, Numbers]]:
    """Cut a matrix into rows, with plain statistics; yield which they are, and their numbers."""
    outputs, width = shape
    scales, step = library.scales(numbers), piece_rows(width, scheme.block_size)
    for start in range(0, outputs, step):
        stop = min(start + step, outputs)
        halves = numbers.halves[start * width // 2 : -(-stop * width // 2)]
        first, last = start * width // scheme.block_size, -(-stop * width // scheme.block_size)
        part = Numbers(halves, scales[first:last], numbers.quant_map, None, numbers.dtype)
        yield slice(start, stop), part


def pack(numbers: Numbers, scheme: Scheme, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return a matrix in the order of the kernel for CPUs, and its statistics."""
    outputs, width = shape
    packed = numbers.halves.new_empty(outputs, width // 2)
    scales = torch.empty(width // scheme.block_size, outputs, dtype=torch.bfloat16)
    for rows, part in pieces(numbers, scheme, shape):
        packed[rows], scales[:, rows] = _packed(part, rows.stop - rows.start)
    return packed, scales


def unpack(packed: Tensor) -> Tensor:
    """Return the numbers that were packed, as they are stored."""
    halves = torch.empty_like(packed)
    step = max(1, _PIECE // (2 * packing.ROWS * packed.shape[1])) * packing.ROWS
    for start in range(0, len(packed), step):
        halves[start : start + step] = packing.unpack(packed[start : start + step])
    return halves.view(-1)


def products_as_packed(
    x: Float[Tensor, "rows in"], numbers: Numbers, scheme: Scheme, shape: tuple[int, int]
) -> Float[Tensor, "rows out"]:
    """Multiply rows as the kernel for CPUs does, for which each piece is packed: bit for bit."""
    result = x.new_empty(len(x), shape[0])
    for rows, part in pieces(numbers, scheme, shape):
        packed, scales = _packed(part, rows.stop - rows.start)
        result[:, rows] = library.packed_products(x, packed, scales, scheme)
    return result


def expanded_products(
    x: Float[Tensor, "rows in"],
    numbers: Numbers,
    scheme: Scheme,
    shape: tuple[int, int],
    dtype: torch.dtype,
) -> Float[Tensor, "rows out"]:
    """Multiply rows with a matrix, of which a piece at a time is expanded to a type."""
    x = x.to(dtype)
    result = x.new_empty(len(x), shape[0])
    for rows, part in pieces(numbers, scheme, shape):
        size = rows.stop - rows.start, shape[1]
        matrix = library.dequantize(part, scheme, size, dtype)
        result[:, rows] = functional.linear(x, matrix)
    return result


@cache
def has_right_kernel(scheme: Scheme) -> bool:
    """Whether this CPU has the kernel for packed matrices, and its products are right."""
    if not library.has_packed_kernel():
        return False
    shape = 3 * packing.ROWS, 2 * scheme.block_size
    # Nothing but sines: the same numbers on every machine.
    steps = torch.arange(shape[0] * shape[1], dtype=torch.float64)
    weight = (torch.sin(0.7 * steps) * torch.cos(0.011 * steps**1.5)).float()
    x = torch.sin(0.3 * steps[: 5 * shape[1]]).float().view(5, -1)
    halves, largest = library.quantize(weight, scheme)
    numbers = Numbers(halves, largest, library.quant_map(scheme.kind), None, torch.float32)
    expected = functional.linear(x, library.dequantize(numbers, scheme, shape, torch.float32))
    try:
        packed, scales = pack(numbers, scheme, shape)
        found = [library.packed_products(x[:rows], packed, scales, scheme) for rows in (1, 5)]
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    error = max(float((each - expected[: len(each)]).norm()) for each in found)
    return error <= _TOLERANCE * float(expected.norm()) and torch.equal(unpack(packed), halves)


def _packed(part: Numbers, rows: int) -> tuple[Tensor, Tensor]:
    scales = part.absmax.view(rows, -1).T.to(torch.bfloat16).contiguous()
    return packing.pack(part.halves.view(rows, -1)), scales
