"""Packed matrices, as the modules that they belong to compute with them and read them back."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2sdk_native.library import kernels
from gpt2sdk_native.matrix import NativeMatrix


class NativeProduct:
    """What a plain layer computes with while the engine holds its matrix."""

    def __init__(self, matrix: NativeMatrix) -> None:
        self.matrix = matrix

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        return self.matrix.nbytes

    def __call__(self, x: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        """Return `x Wᵀ + b` in the type of `x`, without gradients."""
        lines = x.reshape(-1, x.shape[-1])
        made = self.matrix.product(lines, kernels(), torch.get_num_threads())
        return made.to(x.dtype).view(*x.shape[:-1], self.matrix.shape[0])

    def dense(self) -> Float[Tensor, "out in"]:
        """Return W as it was, bit for bit, in new memory."""
        return self.matrix.read()


class NativeTable(NativeProduct):
    """The same for a table of vectors."""

    def rows(self, tokens: Int[Tensor, "*places"]) -> Float[Tensor, "*places embed"]:
        """Return the tokens' vectors, as they were."""
        return self.matrix.rows(tokens.flatten().tolist()).view(*tokens.shape, -1)
