"""The option that truncations share: how many tokens each leaves in any case."""

from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float32
from pydantic import Field
from torch import Tensor

from gpt2sdk import Logits, Shared
from gpt2sdk_sampling.largest import largest

# Of more, numpy's partition is slower than looking at the maxima of groups.
_FEW = 2048

MinTokensToKeep = Annotated[
    int,
    Shared(),
    Field(ge=1, description="How many tokens at least a truncation leaves."),
]


def weakest(logits: Logits, count: int) -> Float32[Tensor, "rows 1"]:
    """Return the `count`-th largest logit of each row, or the least where there are fewer.

    >>> import torch
    >>> weakest(torch.tensor([[3.0, 1.0, 2.0]]), 2), weakest(torch.tensor([[3.0, 1.0]]), 9)
    (tensor([[2.]]), tensor([[1.]]))
    """
    if count == 1:  # by far quicker than a search for it
        return logits.amax(-1, keepdim=True)
    width = logits.shape[-1]
    if logits.device.type == "cpu" and 1 < width <= _FEW:
        place = max(width - count, 0)
        return torch.from_numpy(np.partition(logits.detach().numpy(), place)[:, place : place + 1])
    return largest(logits, count)[:, -1:]
