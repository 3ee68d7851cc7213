"""The type in which a model computes, and the device on which it does."""

import torch

from gpt2sdk.errors import OptionError
from gpt2sdk.gpt2.checkpoint import Checkpoint

_DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


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
    if name not in _DTYPES:
        expected = f"auto, {', '.join(_DTYPES)}"
        raise OptionError(
            f"dtype={name}: expected {expected}", name="dtype", value=dtype, expected=expected
        )
    return _DTYPES[name]


def parse_device(device: torch.device | str) -> torch.device:
    """Read a device or its name, and make sure it is there; "auto" prefers a GPU.

    Raises:
        OptionError: If there is no such device.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if gpus else "cpu")
    expected = ", ".join(["auto", "cpu", *(f"cuda:{place}" for place in range(gpus))])
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError):
        parsed = None
    if parsed is None or (parsed.type == "cuda" and (parsed.index or 0) >= gpus):
        raise OptionError(
            f"device={device}: expected one of {expected}",
            name="device",
            value=device,
            expected=expected,
        )
    return parsed


def auto_dtype(checkpoint: Checkpoint, device: torch.device) -> tuple[torch.dtype, tuple[str, ...]]:
    """Choose the dtype to load in, and say why where it isn't the checkpoint's own."""
    if checkpoint.dtype == torch.float16 and device.type == "cpu":
        note = (
            "float16 weights were loaded as float32: CPUs compute float16 slowly and not in every "
            "operation, and float32 holds the same values (dtype='bfloat16' takes half the memory)"
        )
        return torch.float32, (note,)
    return checkpoint.dtype, ()
