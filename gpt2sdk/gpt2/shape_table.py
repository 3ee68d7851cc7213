"""What goes into each module and comes out of it: the network as a table."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gpt2sdk.gpt2.capture import capturing
from gpt2sdk.gpt2.model import GPT2


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """One module.

    Attributes:
        name: Its name, such as `h.0.attn.c_attn`.
        kind: Its class.
        inputs: Shape of what it is given.
        outputs: Shape of what it returns.
        parameters: Weights of its own, those of its parts not counted.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: int


def describe_shapes(model: GPT2, *, time: int = 8) -> list[ShapeRow]:
    """Run one short sequence through a model, and report on each module in the model's order.

    Args:
        model: Any GPT-2; one on the meta device computes nothing.
        time: Length of the sequence; the context window, if that is less.

    Returns:
        A row per module. The sum of `parameters` is the model's size.
    """
    tokens = torch.zeros(1, min(time, model.context_length), dtype=torch.int64, device=model.device)
    with torch.no_grad(), capturing(model, ["*"], inputs=True) as seen:
        model(tokens)
    return [
        ShapeRow(
            name,
            type(module).__name__,
            _shape(seen.inputs[name]),
            _shape(seen[name]),
            sum(parameter.numel() for parameter in module.parameters(recurse=False)),
        )
        for name, module in model.named_modules()
        if name in seen
    ]


def _shape(calls: list[Tensor]) -> tuple[int, ...]:
    return tuple(calls[0].shape)
