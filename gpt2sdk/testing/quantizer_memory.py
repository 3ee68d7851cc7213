"""The check of what a quantizer's modules need besides, while they compute and pack."""

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.quantizer_cases import Case

# Bytes for each input and output of one row: activations, sums and statistics in several forms.
_ROW_BYTES = 32


def check_workspace(case: Case) -> None:
    """No tensor that is made while a module computes unpacked, or packs, is larger than planned."""
    module, x = case.make(), case.inputs()[3:4]
    rest = _ROW_BYTES * sum(case.matrix.shape)
    planned: dict[str, tuple[Callable[[], object], int]] = {
        "computes unpacked": (lambda: case.products(module, x), case.plan.passing_workspace),
        "packs": (module.pack, case.plan.packing_workspace),
        "unpacks": (module.unpack, case.plan.packing_workspace),
    }
    # What is tried once and remembered is no part of it.
    for action, _ in planned.values():
        action()
    for what, (action, workspace) in planned.items():
        with Largest() as largest:
            action()
        message = (
            f"{case}: while it {what}, it makes a tensor of {largest.nbytes} bytes, but plans to "
            f"need {workspace} besides, and what one row needs: {rest}"
        )
        promise(largest.nbytes <= workspace + rest, message)


@final
class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees how large tensors are that are made; views do not count.

    Attributes:
        nbytes: The size of the largest one.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nbytes = 0

    @override
    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        given = {_memory(each) for each in _tensors((args, kwargs))}
        made = [each for each in _tensors(result) if _memory(each) not in given]
        self.nbytes = max([self.nbytes, *(each.numel() * each.element_size() for each in made)])
        return result


def _tensors(values: object) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _memory(tensor: Tensor) -> object:
    # oneDNN's layouts have no storage.
    strided = tensor.layout == torch.strided
    return tensor.untyped_storage().data_ptr() if strided else id(tensor)
