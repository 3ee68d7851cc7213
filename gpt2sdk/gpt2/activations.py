"""The feed-forward layer's non-linearities, under every name that GPT-2 checkpoints use."""

import difflib
import math
from collections.abc import Callable
from functools import partial
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpt2sdk.errors import OptionError

_gelu_tanh = partial(functional.gelu, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _gelu_10(x: Tensor) -> Tensor:
    return functional.gelu(x).clamp(-10.0, 10.0)


def _identity(x: Tensor) -> Tensor:
    return x


def _laplace(x: Tensor) -> Tensor:
    # The normal distribution's Φ with mean √½ and deviation (4π)^−½ (Ma et al., 2022,
    # arXiv:2209.10655), in the digits of transformers.
    return 0.5 * (1.0 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0))))


def _relu_squared(x: Tensor) -> Tensor:
    return functional.relu(x).square()


def _sqrt_softplus(x: Tensor) -> Tensor:
    return functional.softplus(x).sqrt()


ACTIVATIONS: MappingProxyType[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "gelu": functional.gelu,
        "gelu_10": _gelu_10,
        "gelu_accurate": _gelu_tanh,
        "gelu_fast": _gelu_tanh,
        "gelu_new": _gelu_tanh,
        "gelu_python": functional.gelu,
        "gelu_python_tanh": _gelu_tanh,
        "gelu_pytorch_tanh": _gelu_tanh,
        "hardswish": functional.hardswish,
        "laplace": _laplace,
        "leaky_relu": functional.leaky_relu,
        "linear": _identity,
        "mish": functional.mish,
        "quick_gelu": _quick_gelu,
        "relu": functional.relu,
        "relu2": _relu_squared,
        "relu6": functional.relu6,
        "sigmoid": torch.sigmoid,
        "silu": functional.silu,
        "sqrtsoftplus": _sqrt_softplus,
        "swish": functional.silu,
        "tanh": torch.tanh,
    }
)
"""What each name computes: all of transformers' activations that have no weights of their own.

Five of them are one function written down differently: 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))),
the tanh form of the Gaussian error linear unit (Hendrycks and Gimpel, 2016, arXiv:1606.08415),
which is what GPT-2 was trained with. `gelu` and `gelu_python` are the exact x·Φ(x), which `gelu_10`
cuts off at ±10.
"""

_FUSED: dict[Callable[[Tensor], Tensor], tuple[str, str]] = {
    functional.gelu: ("gelu", "none"),
    _gelu_tanh: ("gelu", "tanh"),
    functional.relu: ("relu", ""),
    torch.tanh: ("tanh", ""),
    torch.sigmoid: ("sigmoid", ""),
    functional.silu: ("swish", ""),
}


class Activation(nn.Module):
    """Applies a non-linearity by name.

    Attributes:
        name: Its name: a key of `ACTIVATIONS`.
        function: What is applied.
        fused: oneDNN's name and variant of it, for a kernel that applies it to a product before
            writing it; `None` where there is none.

    Raises:
        OptionError: If no activation has that name.

    Example:
        >>> Activation("gelu_new")(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1588,  0.0000,  0.8412])
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in ACTIVATIONS:
            raise _unknown(name)
        self.name = name
        self.function = ACTIVATIONS[name]
        self.fused = _FUSED.get(self.function)

    @override
    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places inner"]:
        return self.function(x)


def _unknown(name: str) -> OptionError:
    near = difflib.get_close_matches(name, ACTIVATIONS, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    expected = f"one of {', '.join(ACTIVATIONS)}"
    return OptionError(
        f"activation_function={name!r}: expected {expected}{hint}",
        name="activation_function",
        value=name,
        expected=expected,
    )
