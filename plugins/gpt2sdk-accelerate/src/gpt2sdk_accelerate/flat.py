"""A part's tensors as one stretch of memory."""

from collections.abc import Sequence
from itertools import chain
from typing import final

import torch
from jaxtyping import UInt8
from torch import Tensor, nn


@final
class Flat:
    """Where each tensor of a module lies in one stretch of bytes.

    Attributes:
        names: The tensors' names in the module.
        tensors: The module's parameters and buffers themselves.
        shapes: Their shapes.
        dtypes: Their types.
        starts: Where each begins, in bytes.
        nbytes: Length of it all.
    """

    def __init__(self, module: nn.Module, align: int = 1) -> None:
        """Lay a module's tensors out, widest numbers first, so that all are aligned to their size.

        Args:
            module: The module.
            align: Bytes of which every start is a multiple.
        """
        named = list(chain(module.named_parameters(), module.named_buffers()))
        named.sort(key=lambda pair: -pair[1].element_size())
        self.names = [name for name, _ in named]
        self.tensors = [tensor for _, tensor in named]
        self.shapes = [tensor.shape for tensor in self.tensors]
        self.dtypes = [tensor.dtype for tensor in self.tensors]
        self.starts: list[int] = []
        end = 0
        for tensor in self.tensors:
            start = -(-end // align) * align
            self.starts.append(start)
            end = start + tensor.numel() * tensor.element_size()
        self.nbytes = end

    def views(self, memory: UInt8[Tensor, " bytes"]) -> list[Tensor]:
        """Return the tensors as they lie in a stretch of memory."""
        return [
            memory[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for start, shape, dtype in zip(self.starts, self.shapes, self.dtypes, strict=True)
        ]

    def fill(self, memory: UInt8[Tensor, " bytes"], source: Sequence[Tensor]) -> None:
        """Copy tensors to where they lie."""
        for view, tensor in zip(self.views(memory), source, strict=True):
            view.copy_(tensor)

    def bind(self, data: Sequence[Tensor]) -> None:
        """Give the module's tensors other memory."""
        for tensor, other in zip(self.tensors, data, strict=True):
            tensor.data = other

    def drop(self) -> None:
        """Leave the module's tensors without any."""
        self.bind([torch.empty(0, dtype=dtype) for dtype in self.dtypes])
