"""Matrices in 8 bits with one scale a row, and products with them."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Float32, Int8, Int32
from torch import Tensor
from torch.nn import functional

from gpt2sdk import Matrix, check_finite
from gpt2sdk_bitsandbytes import library

# A CPU multiplies a few rows faster one after the other than together.
_ONE_BY_ONE = 4
# How many rows of activations, and numbers of a matrix, are expanded at once.
_ROWS_AT_ONCE, PIECE = 64, 2**20


def quantize(
    matrix: Matrix, slabs: Iterator[Tensor], device: torch.device
) -> tuple[Int8[Tensor, "out in"], Float32[Tensor, " out"]]:
    """Quantize slabs of rows, on a device, into memory that is allocated once.

    It is computed in float32: bitsandbytes itself goes through float16, where weights beyond
    65504 are lost.

    Returns:
        The numbers, and the largest magnitude of each row: `weight ≈ number · largest / 127`.

    Raises:
        CheckpointError: If a weight is not finite.
    """
    numbers = torch.empty(matrix.shape, dtype=torch.int8, device=device)
    largest = torch.empty(matrix.shape[0], dtype=torch.float32, device=device)
    done = 0
    for slab in slabs:
        rows = slice(done, done + len(slab))
        numbers[rows], largest[rows] = to_integers(slab.to(device).float())
        done += len(slab)
    check_finite(matrix, "weights", largest)
    return numbers, largest


def to_integers(
    x: Float32[Tensor, "rows in"], largest: Float32[Tensor, " rows"] | None = None
) -> tuple[Int8[Tensor, "rows in"], Float32[Tensor, " rows"]]:
    """Round each row to −127…127, the largest magnitude to ±127.

    >>> to_integers(torch.tensor([[0.5, -1.0], [0.0, 0.0]]))[0].tolist()
    [[64, -127], [0, 0]]
    """
    if largest is None:
        largest = x.abs().amax(dim=1)
    factors = torch.where(largest > 0, 127.0 / largest, 0.0)
    return (x * factors[:, None]).round_().to(torch.int8), largest


def products(
    x: Float32[Tensor, "rows in"],
    numbers: Int8[Tensor, "out in"],
    largest: Float32[Tensor, " out"],
) -> Float32[Tensor, "rows out"]:
    """Multiply rows with a matrix, as exactly as if they were multiplied in float32.

    Where integers are multiplied fast, a row is the sum of two rows of integers: the second one
    holds what rounding to the first one lost. That is as good as 16 bits, and exact for each row
    whatever is beside it.
    """
    if not library.multiplies_integers(x.device):
        return slab_products(x, numbers, largest)
    pieces = [_two_products(piece, numbers, largest) for piece in torch.split(x, _ROWS_AT_ONCE)]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def rounded_products(
    x: Float32[Tensor, "rows in"],
    numbers: Int8[Tensor, "out in"],
    largest: Float32[Tensor, " out"],
    largest_of_rows: Float32[Tensor, " rows"] | None = None,
) -> Float32[Tensor, "rows out"]:
    """Multiply rows, rounded to 8 bits each by itself, with a matrix."""
    integers, found = to_integers(x, largest_of_rows)
    result = integer_products(integers, numbers).float()
    return result.mul_((found / 127)[:, None]).mul_(largest / 127)


def slab_products(
    x: Float32[Tensor, "rows in"],
    numbers: Int8[Tensor, "out in"],
    largest: Float32[Tensor, " out"],
) -> Float32[Tensor, "rows out"]:
    """Multiply rows with a matrix, of which a part at a time is expanded to float32."""
    result = x.new_empty(len(x), len(numbers))
    step = max(1, PIECE // numbers.shape[1])
    for start in range(0, len(numbers), step):
        part = slice(start, start + step)
        result[:, part] = functional.linear(x, numbers[part].float())
    return result.mul_(largest / 127)


def dequantize(
    numbers: Int8[Tensor, "*rows in"], largest: Float[Tensor, "*rows"]
) -> Float32[Tensor, "*rows in"]:
    """Return rows as floating point numbers.

    >>> dequantize(torch.tensor([[127, 0]], dtype=torch.int8), torch.tensor([0.5])).tolist()
    [[0.5, 0.0]]
    """
    return numbers.float() * (largest / 127)[..., None]


def _two_products(x: Tensor, numbers: Tensor, largest: Tensor) -> Tensor:
    first, found = to_integers(x)
    step = (found / 127)[:, None]
    rest = x - first * step
    # What is left is at most half a step: it is counted in 254ths of one.
    factors = torch.where(step > 0, 254.0 / step, 0.0)
    second = (rest * factors).round_().clamp_(-127, 127).to(torch.int8)
    both = integer_products(torch.cat([first, second]), numbers).float()
    result = both[: len(x)].mul_(254).add_(both[len(x) :])
    return result.mul_(step / 254).mul_(largest / 127)


def integer_products(
    x: Int8[Tensor, "rows in"], numbers: Int8[Tensor, "out in"]
) -> Int32[Tensor, "rows out"]:
    """Multiply integers, in the way that is fastest for so many rows."""
    if numbers.shape[1] == 1:
        # torch reads a transposed column as if rows were as far apart as columns: past its end.
        return x.to(torch.int32) * numbers.t().to(torch.int32)
    if not _one_kernel_for_any_size(x):
        whole = len(numbers) // 4 * 4
        rest = functional.linear(x.float(), numbers[whole:].float()).to(torch.int32)
        return torch.cat([library.integer_products(x, numbers[:whole]), rest], dim=1)
    if len(x) > _ONE_BY_ONE:
        return library.integer_products(x, numbers)
    return torch.cat([library.integer_products(row, numbers) for row in torch.split(x, 1)])


def _one_kernel_for_any_size(x: Tensor) -> bool:
    """Whether matrices may have any number of rows; GPUs want a multiple of four."""
    return x.device.type == "cpu"
