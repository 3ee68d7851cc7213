"""Sums over the vocabulary that have the same bits for a row in any company."""

import torch
from jaxtyping import Float
from torch import Tensor


def row_sums(
    terms: Float[Tensor, "*rows vocab"], dtype: torch.dtype | None = None
) -> Float[Tensor, "*rows 1"]:
    """Return the sum of each row's terms, with the same bits in any company and on any threads.

    torch has several threads make a single sum, in as many parts, and one thread each of several.
    So one that is alone is given company. (Its softmax and its cumulative sums go row by row.)

    Args:
        terms: One for each token.
        dtype: What is summed in; that of the terms by default.

    >>> row_sums(torch.tensor([[1.0, 3.0]]))
    tensor([[4.]])
    """
    single = terms.numel() == terms.shape[-1]
    if single and terms.device.type == "cpu" and torch.get_num_threads() > 1:
        pair = terms.reshape(1, -1).expand(2, -1).sum(-1, keepdim=True, dtype=dtype)
        return pair[:1].reshape(*terms.shape[:-1], 1)
    return terms.sum(-1, keepdim=True, dtype=dtype)
