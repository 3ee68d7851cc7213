"""Copies of matrices in the blocked layout that CPU kernels read fastest, and their products.

At one token per step every weight is read once and hardly used, so speed is memory bandwidth:
oneDNN reads its own blocked layout two to four times as fast as `torch.nn.functional.linear` reads
a plain matrix.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# Of smaller matrices, the overhead of a oneDNN call (about 11 µs) outweighs the gain.
_SMALLEST = {torch.float32: 2**16, torch.bfloat16: 2**14}
# How far products may be from the plain ones, in parts of the largest.
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
_ROWS_AT_ONCE = 1024


class PackedProduct:
    """`x Wᵀ + b` with W in oneDNN's blocked layout, and an activation fused into it.

    Attributes:
        matrix: W, as an opaque tensor.
        bias: b, the module's own; `None` for none.
        post: The activation that is applied before products are written: oneDNN's name and
            variant of it.
    """

    __slots__ = ("_product", "bias", "matrix", "post")

    def __init__(
        self, matrix: Tensor, bias: Tensor | None, post: tuple[str, str] = ("none", "")
    ) -> None:
        self.matrix = matrix
        self.bias = bias
        self.post = post
        self._product: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise.default  # noqa: SLF001

    def __call__(self, x: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        """Return the product."""
        post, variant = self.post
        return self._product(x, self.matrix, self.bias, post, [], variant)

    @property
    def nbytes(self) -> int:
        """Bytes of W."""
        return self.matrix.numel() * self.matrix.element_size()

    def followed_by(self, post: tuple[str, str]) -> "PackedProduct":
        """Return the product with an activation fused into it; W is shared."""
        return PackedProduct(self.matrix, self.bias, post)

    def dense(self) -> Float[Tensor, "out in"]:
        """Return W as it was, bit for bit."""
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.matrix.to_dense()


def pack(
    weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None = None
) -> PackedProduct | None:
    """Copy a matrix into the blocked layout, and compare its products with the plain ones.

    Returns:
        `None` where nothing is gained (a GPU, a small matrix), this build of torch or this CPU
        lacks the kernels, or products differ.
    """
    if not may_pack(weight.numel(), weight.dtype, weight.device):
        return None
    reorder = torch.ops.mkldnn._reorder_linear_weight  # noqa: SLF001 - torch has no other name
    with torch.inference_mode(mode=False), torch.no_grad():
        packed = PackedProduct(reorder(weight.detach().contiguous()), bias)
        return packed if _agrees(packed, weight.detach()) else None


def may_pack(numbers: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether `pack` tries to copy a matrix of so many numbers."""
    smallest = _SMALLEST.get(dtype)
    return (
        smallest is not None
        and numbers >= smallest
        and device.type == "cpu"
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and has_kernels(dtype)
    )


class PackedHead:
    """Logits in float32, from a blocked copy of the head's matrix.

    The matrix itself stays where it is, since tokens are looked up in it. The logits of GPT-2 have
    a common offset of −30 to −100, where bfloat16 tells only quarters and halves apart. For 16-bit
    weights the mean row μ is therefore taken out before packing and x·μ added in float32.

    Attributes:
        weight: What was packed.
    """

    def __init__(self, weight: Tensor, packed: PackedProduct, mean: Tensor | None) -> None:
        self.weight = weight
        self._packed = packed
        self._mean = mean
        self._state = _state(weight)

    @classmethod
    def pack(cls, weight: Float[Tensor, "vocab embed"]) -> "PackedHead | None":
        """Pack a head; `None` where nothing is gained, as for `linear.pack`."""
        with torch.inference_mode(mode=False), torch.no_grad():
            plain, mean = weight.detach(), None
            if weight.dtype == torch.bfloat16:
                mean, plain = _centred(plain)
            packed = pack(plain)
        return None if packed is None else cls(weight, packed, mean)

    @property
    def nbytes(self) -> int:
        """Bytes of the copy."""
        return self._packed.nbytes

    @property
    def current(self) -> bool:
        """Whether the matrix was not written to since."""
        return self._state == _state(self.weight)

    def __call__(self, x: Float[Tensor, "positions embed"]) -> Float[Tensor, "positions vocab"]:
        """Return each position's logits."""
        logits = self._packed(x)
        if self._mean is None:
            return logits
        return torch.add(logits, torch.mv(x.float(), self._mean)[:, None])


def has_kernels(dtype: torch.dtype) -> bool:
    """Whether oneDNN is built in and switched on, and this CPU computes in the type."""
    if not (torch.backends.mkldnn.enabled and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def _agrees(packed: PackedProduct, weight: Tensor) -> bool:
    """Compare the products of two rows, the same ones on every machine."""
    steps = torch.arange(2 * weight.shape[1], dtype=torch.float64)
    x = torch.sin(0.7 * steps).view(2, -1).to(weight.dtype)
    expected = functional.linear(x, weight, packed.bias).float()
    error = (packed(x).float() - expected).abs().max()
    return bool(error <= _TOLERANCE[weight.dtype] * expected.abs().max())


def _centred(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean row in float32, and the rows less it; no float32 copy of all is made."""
    starts = range(0, len(weight), _ROWS_AT_ONCE)
    total = torch.zeros(weight.shape[1])
    for start in starts:
        total += weight[start : start + _ROWS_AT_ONCE].float().sum(dim=0)
    mean = total / len(weight)
    centred = torch.empty_like(weight)
    for start in starts:
        rows = slice(start, start + _ROWS_AT_ONCE)
        centred[rows] = weight[rows].float() - mean
    return mean, centred


def _state(weight: Tensor) -> tuple[int, int]:
    """Return what changes when a tensor is written to, or given other memory."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version  # noqa: SLF001
