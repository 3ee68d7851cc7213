"""Which matrices the engine takes, by the form in which their modules hold them."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gpt2sdk import Quantized, QuantizedLinear, QuantizedTable
from gpt2sdk.gpt2 import Embedding, Linear
from gpt2sdk_native.matrix import NativeMatrix

_FLOATS = (torch.float32, torch.bfloat16)
_NIBBLE_STEP = 8


def refused(module: nn.Module, name: str) -> str | None:
    """Say why the engine does not take a module's matrix; `None` if it does."""
    if type(module) in (Linear, Embedding) and "forward" not in vars(module):
        dtype = module.get_parameter("weight").dtype
        return None if dtype in _FLOATS else f"{name} is in {str(dtype).removeprefix('torch.')}"
    if isinstance(module, QuantizedLinear | QuantizedTable):
        return None if _kind(module) else f"{name} is in bits of another kind than int8 and int4"
    return f"{name} is a {type(module).__name__}"


def packed_form(module: nn.Module) -> NativeMatrix:
    """Pack the matrix of a module that is not refused; what it holds stays as it is."""
    if not isinstance(module, Quantized):
        # A parameter, whose numbers a copy holds from then on.
        return NativeMatrix.floats(module.get_parameter("weight"), _bias(module))
    module.unpack()
    parts = module.stored()
    bias = _bias(module)
    if _kind(module) == "int4":
        inputs = module.in_features if isinstance(module, QuantizedLinear) else 0
        return NativeMatrix.int4(parts[""], parts[".scale"], parts[".zero"], inputs, bias)
    bits = getattr(module, "activation_bits", 16)
    mean = parts.get(".mean")
    return NativeMatrix.int8(parts[""], parts[".scale"], bias, mean, activation_bits=bits)


def lent(module: Quantized, matrix: NativeMatrix) -> dict[str, Callable[[], Tensor]]:
    """Return the buffers that a module need not hold beside its packed matrix."""
    if _kind(module) != "int4":
        return {"weight": matrix.read}
    return {
        "weight": matrix.read,
        "scale": lambda: matrix.read_groups()[0],
        "zero": lambda: matrix.read_groups()[1],
    }


def described(module: nn.Module) -> str:
    """Say in a word or two how a module's matrix is computed."""
    if not isinstance(module, Quantized):
        return f"native {str(module.get_parameter('weight').dtype).removeprefix('torch.')}"
    kind = _kind(module)
    bits = getattr(module, "activation_bits", 16)
    return f"native {kind}" if kind == "int4" else f"native {kind} a{bits}"


def _bias(module: nn.Module) -> Tensor | None:
    return module.bias if isinstance(module, Linear | QuantizedLinear) else None


def _kind(module: Quantized) -> str:
    """Return what the stored form is: `int8`, `int4` or nothing known."""
    held: Mapping[str, Tensor] = module.stored()
    dtypes = {name: str(each.dtype).removeprefix("torch.") for name, each in held.items()}
    table = isinstance(module, QuantizedTable)
    if dtypes == {"": "int8", ".scale": "float32", **({".mean": "float32"} if table else {})}:
        return "int8"
    if not table and dtypes == {"": "uint8", ".scale": "bfloat16", ".zero": "bfloat16"}:
        group = 2 * held[""].shape[1] // held[".scale"].shape[1]
        return "" if group % _NIBBLE_STEP else "int4"
    return ""
