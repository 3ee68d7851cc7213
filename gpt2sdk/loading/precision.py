"""The type in which a model computes, and the device on which it does."""

from collections.abc import Mapping
from typing import Final

import torch

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.checkpoint import Checkpoint
from gpt2sdk.errors import OptionError
from gpt2sdk.mention import argument

DTYPES: Final[Mapping[str, torch.dtype]] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
SHORT_DTYPES: Final[Mapping[str, str]] = {
    "fp64": "float64",
    "double": "float64",
    "fp32": "float32",
    "float": "float32",
    "full": "float32",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
}
"""What types are called elsewhere."""


def parse_dtype(dtype: torch.dtype | str) -> torch.dtype | None:
    """Read a dtype or its name; `None` for "auto".

    >>> parse_dtype("bfloat16")
    torch.bfloat16

    Raises:
        OptionError: If it is no floating point type that weights come in.
    """
    name = str(dtype).removeprefix("torch.")
    if name == "auto":
        return None
    if name not in DTYPES:
        expected = f"auto, {', '.join(DTYPES)}"
        raise OptionError(
            f"{argument('dtype', name)}: expected {expected}{_hint(name.lower())}",
            name="dtype",
            value=dtype,
            expected=expected,
        )
    return DTYPES[name]


def parse_device(device: torch.device | str, *, elsewhere: bool = False) -> torch.device:
    """Read a device or its name; "auto" prefers a GPU.

    Args:
        device: What was asked for.
        elsewhere: Whether it may be a device that is not here, for which something is planned.

    Raises:
        OptionError: If there is no such device.
    """
    gpus = _gpus()
    if device == "auto":
        return torch.device("cuda" if gpus else "cpu")
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError):
        parsed = None
    if parsed is not None and parsed.type != "meta" and (elsewhere or is_here(parsed)):
        return parsed
    expected = ", ".join(["auto", "cpu", *(f"cuda:{place}" for place in range(gpus))])
    name = str(device)
    raise OptionError(
        f"{argument('device', name)}: expected one of {expected}{_why_not(parsed, name)}",
        name="device",
        value=device,
        expected=expected,
    )


def is_here(device: torch.device) -> bool:
    """Whether torch can use a device on this machine."""
    if device.type == "cuda":
        return (device.index or 0) < _gpus()
    try:
        torch.empty(0, device=device)
    except (AssertionError, ImportError, NotImplementedError, RuntimeError):
        return False
    return True


def auto_dtype(
    checkpoint: Checkpoint[Architecture], device: torch.device
) -> tuple[torch.dtype, tuple[str, ...]]:
    """Choose the dtype to load in, and say why where it isn't the checkpoint's own."""
    if checkpoint.dtype == torch.float16 and device.type == "cpu":
        note = (
            "float16 weights were loaded as float32: CPUs compute float16 slowly and not in every "
            "operation, and float32 holds the same values "
            f"({argument('dtype', 'bfloat16')} takes half the memory)"
        )
        return torch.float32, (note,)
    return checkpoint.dtype, ()


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _hint(name: str) -> str:
    """Say what may have been meant.

    >>> _hint("fp16"), _hint("int8")
    ('. Did you mean float16?', ": fewer bits are asked for with quantization='int8'")
    """
    if name in SHORT_DTYPES:
        return f". Did you mean {SHORT_DTYPES[name]}?"
    if name.startswith(("int", "uint", "nf", "fp4", "fp8", "4", "8")):
        fewer = "int4" if "4" in name else "int8"
        return f": fewer bits are asked for with {argument('quantization', fewer)}"
    return ""


def _why_not(device: torch.device | None, name: str) -> str:
    """Say what a device that is not here would need."""
    if name.lower() in ("gpu", "nvidia", "rocm", "hip"):
        return "; a GPU is called cuda"
    if device is None or device.type in ("cpu", "meta"):
        return ""
    if device.type == "mps":
        return "; mps is the GPU of a Mac with Apple silicon"
    if device.type == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        return f"; torch {torch.__version__} was built without CUDA"
    return f"; {device} is not here"
