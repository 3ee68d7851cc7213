"""Matrices in 8 bits: whole numbers from −127 to 127, and a scale for each row."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int8
from torch import Tensor

# So many rows are averaged for the mean of a table: enough for what all tokens have in common.
MEAN_ROWS = 2048
# Rows are worked on so many numbers at a time, to need little memory.
_PIECE = 2**18


def quantize(
    rows: Float[Tensor, "rows in"], mean: Float[Tensor, " in"] | None = None
) -> tuple[Int8[Tensor, "rows in"], Float[Tensor, " rows"]]:
    """Return `q = round((w − mean) / s)` and `s = max|w − mean| / 127`, for each row w.

    >>> quantize(torch.tensor([[1.0, -0.5, 0.0], [0.0, 0.0, 0.0]]))[0]
    tensor([[127, -64,   0],
            [  0,   0,   0]], dtype=torch.int8)
    """
    rest = rows.float() if mean is None else rows.float() - mean
    largest = torch.linalg.vector_norm(rest, torch.inf, -1, keepdim=True)
    scale = (largest / 127).clamp_min_(1e-30)
    return (rest / scale).round_().to(torch.int8), scale.squeeze(-1)


def dequantize(
    numbers: Int8[Tensor, "*places in"],
    scale: Float[Tensor, "*places"],
    mean: Float[Tensor, " in"] | None = None,
) -> Float[Tensor, "*places in"]:
    """Return `q·s + mean` in float32."""
    rows = numbers.float().mul_(scale.float().unsqueeze(-1))
    return rows if mean is None else rows.add_(mean.float())


def quantize_slabs(
    slabs: Iterator[Tensor], shape: tuple[int, int], device: torch.device, *, centred: bool
) -> tuple[Int8[Tensor, "out in"], Float[Tensor, " out"], Float[Tensor, " in"] | None]:
    """Quantize a matrix that comes in slabs; return its numbers, scales and mean.

    Args:
        slabs: Consecutive rows.
        shape: Rows and their width.
        device: Where the results go.
        centred: Whether the mean of the first rows is taken out before.
    """
    numbers = torch.empty(shape, dtype=torch.int8, device=device)
    scale = torch.empty(shape[0], device=device)
    pieces, mean, start = _pieces(slabs), None, 0
    if centred:
        head, pieces = _first(pieces, min(MEAN_ROWS, shape[0]))
        mean = head.mean(dim=0)
    for piece in pieces:
        end = start + len(piece)
        found, scales = quantize(piece, mean)
        numbers[start:end].copy_(found)
        scale[start:end].copy_(scales)
        start = end
    return numbers, scale, None if mean is None else mean.to(device)


def _pieces(slabs: Iterator[Tensor]) -> Iterator[Tensor]:
    for slab in slabs:
        yield from torch.split(slab, max(1, _PIECE // slab.shape[1]))


def _first(pieces: Iterator[Tensor], count: int) -> tuple[Tensor, Iterator[Tensor]]:
    """Return the first rows, and all pieces as if none had been taken."""
    taken: list[Tensor] = []
    while sum(map(len, taken)) < count:
        # A slab is good until the next one is asked for.
        taken.append(next(pieces).float().clone())
    rows = torch.cat(taken)

    def again() -> Iterator[Tensor]:
        yield from _pieces(iter([rows]))
        yield from pieces

    return rows[:count], again()
