"""Forcing: rows that may take one of some tokens, and nothing else."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gpt2sdk import Logits


def force(logits: Logits, tokens: Int[Tensor, " tokens"], where: Bool[Tensor, " rows"]) -> Logits:
    """Give these tokens the logit 0 and all others `-inf`, in the rows where the mask says so.

    A zero, as in transformers, leaves a beam's score as it is. What was ruled out before stays so:
    a row may be left without a token.

    >>> logits = torch.tensor([[1.0, 2.0, 3.0], [1.0, -torch.inf, 3.0]])
    >>> force(logits, torch.tensor([0, 1]), torch.tensor([True, True]))
    tensor([[0., 0., -inf],
            [0., -inf, -inf]])
    """
    forced = torch.full_like(logits, -torch.inf)
    chosen = logits[:, tokens]
    forced[:, tokens] = torch.zeros_like(chosen).masked_fill(chosen.isneginf(), -torch.inf)
    return torch.where(where[:, None], forced, logits)
