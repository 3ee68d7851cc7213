"""What goes into each module and comes out of it: the network as a table."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """One module.

    Attributes:
        name: Its name, such as `h.0.attn.c_attn`.
        kind: Its class.
        inputs: Shape of what it is given: of the first tensor, where it is given several.
        outputs: Shape of what it returns, likewise.
        parameters: Weights of its own, those of its parts not counted.
    """

    name: str
    kind: str
    inputs: Shape
    outputs: Shape
    parameters: int


def describe_shapes(model: nn.Module, pass_through: Callable[[], object]) -> list[ShapeRow]:
    """Watch a sequence pass through a model, and report on each module in the model's order.

    Args:
        model: Any model; one on the meta device computes nothing.
        pass_through: Lets the sequence pass; of a module that is called several times, the first
            call counts.

    Returns:
        A row per module that was called. The sum of `parameters` is the model's size, where it
        keeps none of them beside its modules.
    """
    seen: dict[str, tuple[Shape, Shape]] = {}
    with torch.no_grad(), _watched(model, seen):
        pass_through()
    return [
        ShapeRow(
            name,
            type(module).__name__,
            *seen[name],
            sum(parameter.numel() for parameter in module.parameters(recurse=False)),
        )
        for name, module in model.named_modules()
        if name in seen
    ]


@contextmanager
def _watched(model: nn.Module, seen: dict[str, tuple[Shape, Shape]]) -> Iterator[None]:
    def hook(
        name: str,
        _module: nn.Module,
        given: tuple[object, ...],
        named: Mapping[str, object],
        output: object,
    ) -> None:
        seen.setdefault(name, (first_shape((given, named)), first_shape(output)))

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if name:
                handle = module.register_forward_hook(partial(hook, name), with_kwargs=True)
                hooks.callback(handle.remove)
        yield


def first_shape(value: object) -> Shape:
    """Return the shape of the first tensor in a value; of none, none.

    >>> first_shape(("a", [torch.zeros(2, 3)], torch.zeros(4))), first_shape({"x": 1})
    ((2, 3), ())
    """
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, Mapping):
        value = list(value.values())
    found = map(first_shape, value) if isinstance(value, list | tuple) else ()
    return next(filter(None, found), ())
