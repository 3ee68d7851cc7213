"""The model's matrices, and their copies in the blocked layout that CPU kernels read fastest.

At one token per step every weight is read once and hardly used, so speed is memory bandwidth:
oneDNN reads its own blocked layout two to four times as fast as `torch.nn.functional.linear` reads
a plain matrix. A packed `Linear` holds the blocked copy only; whoever asks for its `weight` gets
the plain one back.
"""

from collections.abc import Callable, MutableMapping
from threading import RLock
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

# Of smaller matrices, the overhead of a oneDNN call (about 11 µs) outweighs the gain.
_SMALLEST = {torch.float32: 2**16, torch.bfloat16: 2**14}
# How far products may be from the plain ones, in parts of the largest.
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


class Packed:
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

    def followed_by(self, post: tuple[str, str]) -> "Packed":
        """Return the product with an activation fused into it; W is shared."""
        return Packed(self.matrix, self.bias, post)

    def dense(self) -> Float[Tensor, "out in"]:
        """Return W as it was, bit for bit."""
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.matrix.to_dense()


def pack(
    weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None = None
) -> Packed | None:
    """Copy a matrix into the blocked layout, and compare its products with the plain ones.

    Returns:
        `None` where nothing is gained (a GPU, a small matrix), this build of torch or this CPU
        lacks the kernels, or products differ.
    """
    if not may_pack(weight.numel(), weight.dtype, weight.device):
        return None
    reorder = torch.ops.mkldnn._reorder_linear_weight  # noqa: SLF001 - torch has no other name
    with torch.inference_mode(mode=False), torch.no_grad():
        packed = Packed(reorder(weight.detach().contiguous()), bias)
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


class Linear(nn.Linear):
    """`x Wᵀ + b` with W stored `[out, in]`; its values are left unset for who builds it.

    While it is packed, the parameter `weight` keeps its identity, shape and type, but holds no
    numbers (one NaN, expanded): reading the attribute `weight`, computing gradients, loading and
    moving unpack first.
    """

    _packed: Packed | None = None
    # Held while the form is exchanged: any thread may look at a matrix.
    _exchange: ClassVar = RLock()

    @override
    def reset_parameters(self) -> None:
        """Leave the values unset: the model draws or loads them all at once."""

    @property
    def packed(self) -> Packed | None:
        """The blocked copy; `None` while the plain matrix is held."""
        return self._packed

    def pack(self) -> Packed | None:
        """Exchange the plain matrix for a blocked copy, where that is faster, and return it."""
        with self._exchange:
            if self._packed is None:
                plain = self._plain()
                self._packed = pack(plain, self.bias)
                if self._packed is not None:
                    plain.data = torch.full((), torch.nan, dtype=plain.dtype).expand(plain.shape)
            return self._packed

    def unpack(self) -> None:
        """Exchange the blocked copy for the plain matrix, bit for bit as it was."""
        if self._packed is None:
            return
        with self._exchange:
            if self._packed is not None:
                self._plain().data = self._packed.dense()
                self._packed = None

    def _plain(self) -> nn.Parameter:
        return cast("nn.Parameter", self._parameters["weight"])

    @override
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        packed = self._packed
        if packed is not None and not torch.is_grad_enabled():
            return packed(input)
        return functional.linear(input, self.weight, self.bias)

    # Reached for parameters only, which are not in the instance's dictionary; an absent bias is
    # one that is None, which torch's annotation leaves out.
    @override
    def __getattr__(self, name: str) -> Tensor | nn.Module | None:  # type: ignore[override]
        if name == "weight":
            self.unpack()
        return super().__getattr__(name)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        self.unpack()
        module: nn.Module = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return module

    @override
    def _save_to_state_dict(
        self, destination: MutableMapping[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        with self._exchange:
            super()._save_to_state_dict(destination, prefix, keep_vars)
            if self._packed is not None:
                destination[f"{prefix}weight"] = self._packed.dense()

    @override
    def _load_from_state_dict(self, *arguments: object) -> None:
        self.unpack()
        super()._load_from_state_dict(*arguments)

    @override
    def __getstate__(self) -> dict[str, object]:
        self.unpack()
        return self.__dict__.copy()


def has_kernels(dtype: torch.dtype) -> bool:
    """Whether oneDNN is built in and switched on, and this CPU computes in the type."""
    if not (torch.backends.mkldnn.enabled and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def _agrees(packed: Packed, weight: Tensor) -> bool:
    """Compare the products of two rows, the same ones on every machine."""
    steps = torch.arange(2 * weight.shape[1], dtype=torch.float64)
    x = torch.sin(0.7 * steps).view(2, -1).to(weight.dtype)
    expected = functional.linear(x, weight, packed.bias).float()
    error = (packed(x).float() - expected).abs().max()
    return bool(error <= _TOLERANCE[weight.dtype] * expected.abs().max())
