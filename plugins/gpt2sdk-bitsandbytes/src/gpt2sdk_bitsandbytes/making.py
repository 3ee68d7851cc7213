"""A matrix in 4 bits, made from slabs of rows."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gpt2sdk import Matrix, Target, check_finite
from gpt2sdk_bitsandbytes import library
from gpt2sdk_bitsandbytes.scheme import Nested, Numbers, Scheme


def quantize(
    matrix: Matrix,
    scheme: Scheme,
    slabs: Iterator[Tensor],
    target: Target,
) -> Numbers:
    """Quantize slabs of rows, on their device, into memory that is allocated once.

    Args:
        matrix: Whose rows they are.
        scheme: How.
        slabs: Its consecutive rows.
        target: Where to, and the type in which the model computes.

    Raises:
        CheckpointError: If a weight is not finite.
    """
    device, dtype = target.device, target.dtype
    halves = torch.empty(scheme.bytes_of_numbers(matrix), dtype=torch.uint8, device=device)
    absmax = torch.empty(scheme.blocks(matrix), dtype=torch.float32, device=device)
    done = 0
    for piece in _whole_blocks(slabs, scheme.block_size, device):
        numbers, largest = library.quantize(piece, scheme)
        halves[done // 2 : done // 2 + len(numbers)] = numbers
        first = done // scheme.block_size
        absmax[first : first + len(largest)] = largest
        done += len(piece)
    check_finite(matrix, "weights", absmax)
    quant_map = library.quant_map(scheme.kind).to(device, copy=True)
    if not scheme.double:
        return Numbers(halves, absmax, quant_map, None, dtype)
    numbers, scales, values, mean = library.quantize_statistics(absmax)
    return Numbers(halves, numbers, quant_map, Nested(scales, values, mean), dtype)


def _whole_blocks(
    slabs: Iterator[Tensor], block_size: int, device: torch.device
) -> Iterator[Tensor]:
    """Yield a matrix's numbers in order, cut at the ends of blocks, which may lie within rows.

    >>> slabs = iter([torch.ones(2, 3), torch.ones(1, 3)])
    >>> [len(piece) for piece in _whole_blocks(slabs, 4, torch.device("cpu"))]
    [4, 4, 1]
    """
    rest = torch.empty(0, device=device)
    for slab in slabs:
        numbers = torch.cat([rest, slab.to(device).reshape(-1).float()])
        whole = len(numbers) // block_size * block_size
        rest = numbers[whole:].clone()
        if whole:
            yield numbers[:whole]
    if len(rest):
        yield rest
