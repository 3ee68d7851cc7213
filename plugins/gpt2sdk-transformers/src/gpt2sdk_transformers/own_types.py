"""Which parameters transformers holds in another type than the one that was asked for."""

import re
from itertools import chain
from typing import TYPE_CHECKING

import torch

from gpt2sdk_transformers.network import lasting_buffers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def own_types(network: "PreTrainedModel", dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Return the types of parameters and stored buffers that differ, by name.

    A kind of model names those that 16 bits are too coarse for, as what decides which experts a
    token goes to; others are made in a type of their own.

    Args:
        network: Made without numbers, in that type.
        dtype: The type that was asked for.
    """
    named = network._get_dtype_plan(dtype)  # noqa: SLF001 - transformers tells no other way
    patterns = [(re.compile(name.replace("*", ".*")), kept) for name, kept in named.items()]
    found = {}
    for name, tensor in chain(network.named_parameters(), lasting_buffers(network)):
        own = next((kept for pattern, kept in patterns if pattern.search(name)), tensor.dtype)
        if own != dtype:
            found[name] = own
    return found
