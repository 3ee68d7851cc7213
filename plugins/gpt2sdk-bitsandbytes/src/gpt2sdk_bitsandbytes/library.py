"""bitsandbytes itself: imported when it is needed, without its detours, and its operations."""

import logging
import sys
from functools import cache
from types import ModuleType

import torch
from torch import Tensor
from torch._ops import _OpNamespace

from gpt2sdk import PlacementError, argument
from gpt2sdk_bitsandbytes.scheme import STATISTICS_BLOCK, Kind, Numbers, Scheme

_CPU_LOG = "bitsandbytes.backends.cpu.ops"


def load() -> None:
    """Import bitsandbytes, without letting it fetch anything.

    On CPUs with AVX512-BF16 it would fetch native code from the hub if the package `kernels` is
    there, and log a warning if it is not. Its own kernel, which it falls back to, is used instead.

    Raises:
        PlacementError: If it is not installed, or does not fit this torch.
    """
    if "bitsandbytes" in sys.modules:
        return
    log, kernels = logging.getLogger(_CPU_LOG), sys.modules.get("kernels")
    disabled = log.disabled
    log.disabled = True
    sys.modules["kernels"] = None  # type: ignore[assignment]  # makes its import fail
    try:
        import bitsandbytes  # noqa: F401, PLC0415 - takes a second
    except ImportError as error:
        raise PlacementError(
            f"bitsandbytes cannot be imported ({error}): pip install bitsandbytes"
        ) from error
    except Exception as error:
        raise PlacementError(
            f"bitsandbytes does not work here ({error}): python -m bitsandbytes says more"
        ) from error
    finally:
        log.disabled = disabled
        del sys.modules["kernels"]
        if kernels is not None:
            sys.modules["kernels"] = kernels


def require(device: torch.device, capability: tuple[int, int], what: str) -> None:
    """Make sure that bitsandbytes is there and knows a device.

    Args:
        device: Where matrices are to be.
        capability: The compute capability that a CUDA device needs.
        what: What needs it, for the message.

    Raises:
        PlacementError: If not.
    """
    load()
    known = getattr(sys.modules["bitsandbytes"], "supported_torch_devices", {"cpu", "cuda"})
    if device.type not in known:
        raise PlacementError(
            f"{what} works on {', '.join(sorted(known))}, not on {device.type}: choose another "
            "device or quantization"
        )
    if device.type != "cuda":
        return
    if not torch.cuda.is_available():
        other = argument("device", "cpu")
        raise PlacementError(f"{what}: there is no CUDA device; {other} works too")
    if torch.version.cuda and torch.cuda.get_device_capability(device) < capability:
        needed, found = capability, torch.cuda.get_device_capability(device)
        raise PlacementError(
            f"{what} needs compute capability {needed[0]}.{needed[1]}, {device} has "
            f"{found[0]}.{found[1]}: choose bnb_nf4, which needs 6.0, or no quantization"
        )


@cache
def has_packed_kernel() -> bool:
    """Whether this CPU has the kernel that computes with packed 4-bit matrices: AVX512-BF16."""
    load()
    return bool(_functional().has_avx512bf16())


@cache
def multiplies_integers(device: torch.device) -> bool:
    """Whether products of 8-bit integers are faster than those of floats on a device."""
    if device.type == "cpu":
        return torch.backends.cpu.get_cpu_capability() == "AVX512"
    if device.type == "cuda":
        return not torch.version.cuda or torch.cuda.get_device_capability(device) >= (7, 5)
    return device.type in {"xpu", "hpu"}


def quantize(values: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Quantize consecutive numbers in blocks.

    Returns:
        Two numbers a byte, the first in the high half; the largest magnitude of each block.
    """
    halves, largest = _operations().quantize_4bit.default(
        values, scheme.block_size, scheme.kind, torch.uint8
    )
    return halves.view(-1), largest


def quantize_statistics(largest: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Quantize the blocks' statistics themselves: in 8 bits, about their mean.

    Returns:
        The numbers, what their blocks are to be multiplied by, the 256 values, the mean.
    """
    mean = largest.mean()
    numbers, state = _functional().quantize_blockwise(largest - mean, blocksize=STATISTICS_BLOCK)
    return numbers, state.absmax, state.code.clone(), mean


def scales(numbers: Numbers) -> Tensor:
    """Return what each block of a matrix is to be multiplied by, in float32."""
    nested = numbers.nested
    if nested is None:
        return numbers.absmax
    result: Tensor = _operations().dequantize_blockwise.default(
        numbers.absmax, nested.absmax, nested.quant_map, STATISTICS_BLOCK, torch.float32
    )
    return result + nested.offset


def dequantize(
    numbers: Numbers, scheme: Scheme, shape: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """Return a matrix as floating point numbers."""
    count = shape[0] * shape[1]
    # The kernel for CPUs is right for rows of whole blocks only. Of others, take all numbers for
    # one row, with the unused half byte at the end if there is one.
    whole = shape[1] % scheme.block_size == 0
    even = list(shape) if whole else [1, 2 * len(numbers.halves)]
    result: Tensor = _operations().dequantize_4bit.default(
        numbers.halves, scales(numbers), scheme.block_size, scheme.kind, even, dtype
    )
    return result.view(-1)[:count].view(shape)


def products(
    x: Tensor, numbers: Numbers, scheme: Scheme, shape: tuple[int, int], bias: Tensor | None
) -> Tensor:
    """Multiply rows with a matrix, in the type of the rows."""
    nested = numbers.nested
    result: Tensor = _operations().gemm_4bit.default(
        x,
        numbers.halves.view(-1, 1),
        list(shape),
        numbers.absmax if nested is None else nested.absmax,
        scheme.block_size,
        scheme.kind,
        bias=bias,
        absmax_8bit=None if nested is None else numbers.absmax,
        absmax_code=None if nested is None else nested.quant_map,
        absmax_offset=None if nested is None else nested.offset,
    )
    return result


def packed_products(x: Tensor, packed: Tensor, scales: Tensor, scheme: Scheme) -> Tensor:
    """Multiply rows with a packed matrix on a CPU; each row alone, in bfloat16."""
    shape = [len(packed), 2 * packed.shape[1]]
    result: Tensor = _operations().gemv_4bit.default(
        x.contiguous(), packed, shape, scales, quant_map(scheme.kind), scheme.block_size
    )
    return result


@cache
def quant_map(kind: Kind) -> Tensor:
    """Return the 16 values of a 4-bit type, on the CPU. Not to be written to."""
    with torch.inference_mode(mode=False):
        values: Tensor = _functional().get_4bit_type(kind, device=torch.device("cpu"))
    return values


def integer_products(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply 8-bit integers, exactly: `x Wᵀ` in 32 bits."""
    result: Tensor = _operations().int8_linear_matmul.default(x, weight)
    return result


def _operations() -> _OpNamespace:
    """Return bitsandbytes' operations, which are there once it was imported."""
    load()
    return torch.ops.bitsandbytes


def _functional() -> ModuleType:
    load()
    return sys.modules["bitsandbytes.functional"]
