"""Plausibility: which tokens a model takes seriously at all."""

import math

from jaxtyping import Bool
from torch import Tensor

from gpt2sdk import Logits


def plausible(logprobs: Logits, share: float) -> Bool[Tensor, "rows vocab"]:
    """Return which tokens are at least `share` times as likely as the likeliest.

    >>> import torch
    >>> plausible(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.5)
    tensor([[ True,  True, False]])
    """
    return logprobs >= logprobs.amax(-1, keepdim=True) + math.log(share)
