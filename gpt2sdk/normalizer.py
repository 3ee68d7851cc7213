"""The normalizer of a distribution over tokens: what log-probabilities are told from logits by."""

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.shapes import Logits


def log_normalizer(logits: Logits) -> Float[Tensor, " rows"]:
    """Return `log Σ exp` of each row, with the same bits in any company and on any threads.

    torch has several threads sum a row that is alone, in as many parts, and one thread each row
    of several. So one that is alone is given company.

    >>> log_normalizer(torch.tensor([[1.0, 3.0]]).log()).exp()
    tensor([4.])
    """
    if len(logits) == 1 and logits.device.type == "cpu" and torch.get_num_threads() > 1:
        return logits.expand(2, -1).logsumexp(-1)[:1]
    return logits.logsumexp(-1)
