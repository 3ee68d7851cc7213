"""Matrices to try quantizers on, and the modules made of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.quantized import QuantizedLinear, QuantizedTable
from gpt2sdk.components.quantizer import Matrix, QuantizedMatrix, Quantizer, Target
from gpt2sdk.testing.promise import promise

# Output 1 of each matrix is all zeros; input 5 has large weights.
ZERO_ROW, OUTLIER_COLUMN = 1, 5
# Small, and of sizes that kernels like.
HANDY = (320, 768)


@dataclass(frozen=True)
class Case:
    """A quantizer and a matrix that it has planned for.

    Attributes:
        quantizer: What is checked.
        matrix: What it is told of the matrix.
        plan: What it planned.
        device: Where modules are made.
        dtype: The type in which the model computes.
    """

    quantizer: Quantizer
    matrix: Matrix
    plan: QuantizedMatrix
    device: torch.device
    dtype: torch.dtype
    weight: Float[Tensor, "out in"] = field(repr=False)
    bias: Float[Tensor, " out"] | None = field(repr=False)

    @override
    def __str__(self) -> str:
        outputs, inputs = self.matrix.shape
        return f"{self.quantizer!r} with a {outputs}×{inputs} {self.matrix.use} in {self.dtype}"

    @property
    def target(self) -> Target:
        """Where modules are made, and for which type."""
        return Target(self.device, self.dtype)

    def linear(self, slab: int = 37) -> QuantizedLinear:
        """Make a layer of slabs of so many rows."""
        return self.quantizer.linear(
            self.matrix,
            slabs(self.weight, slab),
            None if self.bias is None else self.bias.clone(),
            self.target,
        ).eval()

    def table(self, slab: int = 5003) -> QuantizedTable:
        """Make a table of slabs of so many rows."""
        return self.quantizer.table(self.matrix, slabs(self.weight, slab), self.target).eval()

    def make(self, slab: int = 37) -> QuantizedLinear | QuantizedTable:
        """Make what the matrix is for."""
        # The many rows of a table come in slabs of several thousand.
        return self.table(slab * 137) if self.matrix.use == "table" else self.linear(slab)

    def restore(self, tensors: dict[str, Tensor]) -> QuantizedLinear | QuantizedTable:
        """Make a module from stored tensors."""
        bias = None if self.bias is None else self.bias.clone()
        return self.quantizer.restore(self.matrix, tensors, bias, self.target).eval()

    def inputs(self, rows: int = 64) -> Float[Tensor, "rows in"]:
        """Return activations: ordinary rows, a row of zeros, one with an outlier."""
        x = drawn((rows, self.matrix.shape[1]), seed=3)
        x[0] = 0.0
        x[3, OUTLIER_COLUMN] = 60.0
        return x.to(self.device, self.dtype)

    def products(self, module: QuantizedLinear | QuantizedTable, x: Tensor) -> Tensor:
        """Return the products of some rows, as the model asks for them."""
        with torch.inference_mode():
            result = module.attend(x) if isinstance(module, QuantizedTable) else module(x)
        kind = torch.float32 if self.matrix.use == "table" else x.dtype
        promise(result.dtype == kind, f"{self}: expected products in {kind}, got {result.dtype}")
        shape = (*x.shape[:-1], self.matrix.shape[0])
        found = tuple(result.shape)
        promise(found == shape, f"{self}: expected products of shape {shape}, got {found}")
        return torch.as_tensor(result)


def cases(quantizer: Quantizer, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    """Yield what a quantizer plans for; a matrix that it leaves as it is gives no case."""
    for matrix in _matrices():
        plan = quantizer.plan(matrix, device)
        if plan is None:
            continue
        weight = 0.02 * drawn(matrix.shape, seed=1)
        weight[:, OUTLIER_COLUMN] *= 8.0
        weight[ZERO_ROW] = 0.0
        bias = None
        if matrix.use == "linear":
            bias = (0.1 * drawn(matrix.shape[:1], seed=2)).to(device, dtype)
        yield Case(quantizer, matrix, plan, device, dtype, weight.to(matrix.dtype), bias)


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return normal numbers, the same ones on every machine."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def slabs(weight: Tensor, rows: int) -> Iterator[Tensor]:
    """Yield consecutive rows in one buffer, which is spoilt when the next are asked for."""
    for start in range(0, len(weight), rows):
        piece = weight[start : start + rows].clone()
        yield piece
        piece.fill_(torch.nan)


def _matrices() -> Iterator[Matrix]:
    """Yield GPT-2's shapes, a square one among them, odd sizes, and all three uses."""
    yield _matrix((768, 768), "linear")
    yield replace(_matrix(HANDY, "linear"), dtype=torch.bfloat16)
    yield _matrix((256, 3072), "linear")
    yield _matrix((100, 100), "linear")
    yield _matrix((100, 192), "linear")
    yield replace(_matrix((50257, 64), "table"), tied=True)
    yield replace(_matrix((257, 100), "table"), tied=True)
    yield _matrix((300, 128), "table")
    yield _matrix((50257, 64), "head")


def _matrix(shape: tuple[int, int], use: Literal["linear", "table", "head"]) -> Matrix:
    name = {"linear": "h.0.attn.c_attn.weight", "table": "wte.weight", "head": "lm_head.weight"}
    return Matrix(name[use], shape, torch.float32, use)
