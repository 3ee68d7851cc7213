"""What the machine would let an engine do: how fast memory is read, and how fast matrices multiply.

Both are measured with torch's plainest functions, in the same rounds as what they limit.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.benchmark.turns import timed

_TURNS = 3
_INNER, _OUTER = 1024, 4096

# Each reads all of a tensor and keeps one number. Which is fastest differs between processors.
_READS: tuple[Callable[[Tensor], Tensor], ...] = (
    torch.linalg.vector_norm,
    torch.sum,
    lambda numbers: torch.dot(numbers, numbers),
    lambda numbers: numbers.view(torch.int32).amax(),
)


def memory_of(nbytes: int) -> Float[Tensor, " numbers"]:
    """Return memory to be read, as large as a model's weights: what fits a cache is read faster."""
    return torch.ones(max(1, nbytes // 4))


def read_seconds(memory: Float[Tensor, " numbers"]) -> float:
    """Return how long a plain read of this memory takes: the fastest of several ways and turns."""
    return min(timed(partial(read, memory)) for _ in range(_TURNS) for read in _READS)


def product_rate(rows: int, dtype: torch.dtype) -> float:
    """Return multiplications with additions per second of torch's own matrix product, the best.

    Args:
        rows: How many rows are multiplied at once: a prompt's tokens.
        dtype: The type of both matrices.
    """
    inputs = torch.ones(rows, _INNER, dtype=dtype)
    weight = torch.ones(_OUTER, _INNER, dtype=dtype)
    seconds = min(
        timed(lambda: torch.nn.functional.linear(inputs, weight)) for _ in range(_TURNS + 1)
    )
    return rows * _INNER * _OUTER / seconds
