"""Products of 8-bit digits with 8-bit matrices, summed without error.

Sums are in 32-bit integers: at most 128·127·K, which fits for K up to 132,000. So a row's products
are the same bit for bit beside any other rows, whatever kernel computes them.

CPUs before VNNI (AVX2, AVX-512 of the first years) add two products of bytes in 16 bits, which
overflows unless one of the bytes is below 128: digits of base 128 are used there.
"""

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor
from torch.nn import functional

# A kernel that pads could take more memory than what is stored.
_BLOCK = 64
# What a GPU's kernel wants: more than 16 rows, and multiples of 8 in every direction.
_GPU_ROWS, _GPU_STEP = 32, 8


def product(
    found: UInt8[Tensor, "digits in"], weight: Int8[Tensor, "out in"], base: int
) -> Float[Tensor, "digits out"]:
    """Multiply digits by a plain matrix."""
    if base == 256:
        return _signed_product(found.bitwise_xor(128).view(torch.int8), weight)
    # oneDNN adds 128 to signed bytes, so that −128 to −1 become 0 to 127. What that is too little
    # is found with one more row, of −1: Σ(u − 64)w = Σ(u − 128)w − 64·Σ(−1)w.
    ones = found.new_full((1, found.shape[1]), 127)
    sums = _signed_product(torch.cat((found, ones)).bitwise_xor(128).view(torch.int8), weight)
    return sums[:-1].sub_(sums[-1:], alpha=64)


def _signed_product(signed: Tensor, weight: Tensor) -> Tensor:
    if weight.is_cuda:
        return _on_gpu(signed, weight)
    if weight.shape[1] == 1:
        # `_int_mm` reads a transposed column as if rows were as far apart as columns: past its end.
        return signed.float() * weight.t().float()
    # One row is a matrix-vector product, which reads the plain matrix as fast as any kernel.
    if len(signed) <= 3:
        rows = [torch._int_mm(row, weight.t()) for row in torch.split(signed, 1)]  # noqa: SLF001
        return torch.cat(rows).float()
    return torch._int_mm(signed, weight.t()).float()  # noqa: SLF001


def _on_gpu(signed: Tensor, weight: Tensor) -> Tensor:
    rows, whole = len(signed), len(weight) - len(weight) % _GPU_STEP
    # Zeros are added, which changes no product: sums have no error.
    inputs, more = -signed.shape[1] % _GPU_STEP, max(_GPU_ROWS - rows, -rows % _GPU_STEP)
    signed = functional.pad(signed, (0, inputs, 0, more))
    weight = functional.pad(weight, (0, inputs)) if inputs else weight
    products = []
    if whole:
        products.append(torch._int_mm(signed, weight[:whole].t())[:rows].float())  # noqa: SLF001
    if whole < len(weight):
        products.append((signed[:rows].double() @ weight[whole:].double().t()).float())
    return torch.cat(products, dim=1)


def may_block(shape: tuple[int, int], device: torch.device) -> bool:
    """Whether oneDNN's layout is for matrices of a size on a device, if its kernel is right."""
    return device.type == "cpu" and all(size % _BLOCK == 0 for size in shape)


def blocked(weight: Int8[Tensor, "out in"]) -> Tensor | None:
    """Copy a matrix into oneDNN's blocked layout; `None` where that is not for it."""
    if not (may_block((len(weight), weight.shape[1]), weight.device) and blocked_base()):
        return None
    matrix: Tensor = torch.ops.onednn.qlinear_prepack(weight, None)
    return matrix


def plain(matrix: Tensor) -> Int8[Tensor, "out in"]:
    """Return a blocked matrix as it was."""
    return matrix.to_dense().t().contiguous()


def blocked_product(
    found: UInt8[Tensor, "digits in"], matrix: Tensor, scale: Float[Tensor, " out"], base: int
) -> Float[Tensor, "digits out"]:
    """Multiply digits by a blocked matrix, and the sums by a scale."""
    zeros = _zeros(len(scale))
    products: Tensor = torch.ops.onednn.qlinear_pointwise.default(
        found, 1.0, base // 2, matrix, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return products


@cache
def product_base(device: torch.device) -> int:
    """Return the base in which a device's products of plain matrices are exact; 0 for none."""
    if device.type not in {"cpu", "cuda"}:
        return 0

    def right(found: Tensor, weight: Tensor, base: int) -> bool:
        products = product(found.to(device), weight.to(device), base).cpu()
        return torch.equal(products, _exact(found, weight, base))

    return _first_base(right)


@cache
def blocked_base() -> int:
    """Return the base in which this CPU's products of blocked matrices are exact; 0 for none."""

    def right(found: Tensor, weight: Tensor, base: int) -> bool:
        matrix = torch.ops.onednn.qlinear_prepack(weight, None)
        products = blocked_product(found, matrix, torch.ones(len(weight)), base)
        same = torch.equal(products, _exact(found, weight, base))
        return same and torch.equal(plain(matrix), weight)

    return _first_base(right) if torch.backends.mkldnn.enabled else 0


def _first_base(right: Callable[[Tensor, Tensor, int], bool]) -> int:
    try:
        for base in (256, 128):
            if all(right(found, weight, base) for found, weight in _trials(base)):
                return base
    except (AttributeError, NotImplementedError, RuntimeError):
        return 0
    return 0


def _exact(found: Tensor, weight: Tensor, base: int) -> Tensor:
    return ((found.double() - base // 2) @ weight.double().t()).float()


def _trials(base: int) -> list[tuple[Tensor, Tensor]]:
    """Return digits and matrices that tell right kernels from wrong ones, the largest too."""
    shape, steps = (128, 192), torch.arange(128 * 192)
    weight = (steps * 7919 % 255 - 127).to(torch.int8).view(shape)
    extreme = torch.where(steps % 5 == 0, -127, 127).to(torch.int8).view(shape)
    found = [
        (steps[: rows * 192] * 104_729 % base).to(torch.uint8).view(rows, 192)
        for rows in (1, 2, 5, 33)
    ]
    ends = torch.tensor([0, base - 1], dtype=torch.uint8)[:, None].expand(2, 192).contiguous()
    cases = [ends, ends[1:], ends.repeat(4, 1)]
    return [*((each, weight) for each in found), *((each, extreme) for each in cases)]


@cache
def _zeros(count: int) -> Tensor:
    """Zero points, shared by all matrices of a size."""
    with torch.inference_mode(mode=False):
        return torch.zeros(count, dtype=torch.int32)
