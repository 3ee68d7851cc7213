"""A small layer that is quantized, stored, restored and multiplied with, to see that it works."""

import torch
from torch import Tensor, nn

from gpt2sdk import Matrix, PlacementError, QuantizedLinear, Quantizer, Target


def check(quantizer: Quantizer, device: torch.device, tolerance: float) -> QuantizedLinear:
    """Compare products with those of the weights that were quantized.

    Args:
        quantizer: What makes the layer.
        device: Where.
        tolerance: How far products may be, in parts of their norm.

    Returns:
        The layer, packed.

    Raises:
        PlacementError: If they differ, or are not computed at all.
    """
    matrix = Matrix("h.0.attn.c_proj.weight", (64, 64), torch.float32, "linear")
    # Nothing but sines of different frequencies: the same numbers on every machine.
    weight = _waves(64 * 64, 0.7).view(64, 64)
    x = _waves(4 * 64, 0.3).view(4, 64)
    expected = nn.functional.linear(x, weight)
    try:
        with torch.no_grad():
            target = Target(device, torch.float32)
            layer = quantizer.linear(matrix, iter([weight]), None, target)
            layer.pack()
            found = layer(x.to(device)).cpu()
    except (RuntimeError, NotImplementedError, OSError) as error:
        raise PlacementError(
            f"{quantizer.name} does not work on {device} ({error}): choose another quantization"
        ) from error
    apart = float((found - expected).norm() / expected.norm())
    if not apart <= tolerance:
        raise PlacementError(
            f"{quantizer.name} computes wrong products on {device}, {apart:.0%} away from the "
            "right ones: choose another quantization, and report it to bitsandbytes"
        )
    return layer


def _waves(count: int, frequency: float) -> Tensor:
    steps = torch.arange(count, dtype=torch.float64)
    return (torch.sin(frequency * steps) * torch.cos(0.011 * steps**1.5)).float()
