"""The largest logits, found by way of the largest of many groups."""

import torch
from jaxtyping import Float32
from torch import Tensor

from gpt2sdk import Logits

# Logits in each group, of all and then of those in the best groups; of so few a search is quick.
_GROUPS = (64, 8)
_FEW = 1024


def largest(logits: Logits, count: int) -> Float32[Tensor, "rows count"]:
    """Return the largest logits of each row, descending, or all where there are fewer.

    A logit among the `count` largest is in one of the `count` groups with the largest maxima, or
    equals one that is: any other group has so many above its own, or equal to it. Maxima are found
    at the speed of memory, so only the best groups are searched.

    >>> largest(torch.tensor([[3.0, 1.0, 2.0]]), 2)
    tensor([[3., 2.]])
    >>> largest(torch.arange(5000.0)[None], 3)
    tensor([[4999., 4998., 4997.]])
    """
    found = logits
    for size in _GROUPS if logits.device.type == "cpu" else ():
        groups = found.shape[-1] // size
        if found.shape[-1] <= _FEW or 2 * count >= groups:
            continue
        # Every so-many-th logit is in one group: their maxima take the widest instructions.
        whole = found[:, : groups * size].reshape(len(found), size, groups)
        best = whole.amax(1).topk(count, sorted=False).indices
        picked = whole.gather(2, best[:, None].expand(-1, size, -1)).flatten(1)
        found = torch.cat([picked, found[:, groups * size :]], 1)
    return found.topk(min(count, found.shape[-1])).values
