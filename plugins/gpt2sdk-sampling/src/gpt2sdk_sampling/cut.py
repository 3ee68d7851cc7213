"""What all truncations come down to: tokens below a logit go."""

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from gpt2sdk import Logits


def cut_below(logits: Logits, least: Float32[Tensor, "rows 1"]) -> Logits:
    """Rule out the tokens whose logit is below the least one that stays.

    >>> cut_below(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[2.0]]))
    tensor([[3., -inf, 2.]])
    """
    if logits.device.type != "cpu" or logits.requires_grad:
        return logits.masked_fill(logits < least, -torch.inf)
    # On a CPU a comparison and a fill take five times as long as torch's threshold, which has one
    # number for a whole tensor and lets through what is above it.
    floors = np.nextafter(least.detach().numpy(), -np.inf, dtype=np.float32)[:, 0].tolist()
    kept = torch.empty_like(logits)
    for row, out, floor in zip(logits.unbind(), kept.unbind(), floors, strict=True):
        torch.threshold(row, floor, -torch.inf, out=out)
    return kept
