"""Modules that hold a quantized matrix, packed or as it is stored."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from threading import RLock

from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

# Buffers of a quantized module that a cast is meant for.
_CAST = ("bias", "like")


class Quantized(nn.Module):
    """A module that holds a quantized matrix. All it holds are buffers, so it moves and copies.

    It works as it is. `pack` may exchange the buffers for a form that kernels read faster, never
    keep both; `unpack` restores them bit for bit, as does whatever moves, copies, loads or saves
    the module: this class sees to that. Packing exchanges buffers for others or for `None`, so
    that a runner notices when it was undone.

    A cast, such as `model.to(torch.bfloat16)`, changes the type of `bias` and `like` only. Numbers
    and what belongs to them keep theirs, so that they and the products stay what they were.

    Several threads may compute, pack and unpack at the same time. So whoever exchanges buffers, or
    reads several that belong together, holds `exchanging`; products are computed without it.

    A runner may hold a buffer of the stored form in its place: see `lend`.

    Attributes:
        exchanging: A lock that the thread which holds it may take again. It is not copied.
        fixed: Whether it stays packed: see `fix`.
        bias: A buffer in the type in which the model computes; `None` or missing for none.
        like: An empty buffer in that type, for those who need to know it; not in a state_dict.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exchanging = RLock()
        self.fixed = False
        self._lent: dict[str, Callable[[], Tensor]] = {}

    def lend(self, name: str, back: Callable[[], Tensor]) -> None:
        """Let a runner hold a buffer of the stored form in a layout of its own, and nobody else.

        Whoever reads the buffer meanwhile gets what `back` makes, so that the module computes, is
        saved and copied as ever, if slower. `reclaim` ends it, as do moving and loading.

        Args:
            name: The buffer's name; unpack the module first.
            back: Returns the buffer as it was, bit for bit, in new memory.
        """
        with self.exchanging:
            self._lent[name] = back
            self._buffers[name] = None

    def reclaim(self) -> None:
        """Hold again what was lent."""
        with self.exchanging:
            for name, back in self._lent.items():
                self._buffers[name] = back()
            self._lent = {}

    @override
    def __getattr__(self, name: str) -> Tensor | nn.Module | None:  # type: ignore[override]
        back = self.__dict__.get("_lent", {}).get(name)
        return super().__getattr__(name) if back is None else back()

    @property
    @abstractmethod
    def kernel(self) -> str:
        """How products are computed now, in a word or two: `int8 rowwise`, `nf4 gemv`."""

    @abstractmethod
    def stored(self) -> Mapping[str, Tensor]:
        """Return the tensors a checkpoint holds, as in `QuantizedMatrix.stored`; packed or not."""

    @abstractmethod
    def dequantize(self) -> Float[Tensor, "out in"]:
        """Return the matrix that is computed with, in float32."""

    @abstractmethod
    def pack(self) -> None:
        """Take the form that is fastest here."""

    @abstractmethod
    def unpack(self) -> None:
        """Take the form that is stored."""

    def fix(self) -> None:
        """Pack, and stay packed, since someone else keeps the memory of that form's buffers.

        Whoever saves the module gets copies in the stored form. Moving or loading it ends this.
        """
        with self.exchanging:
            self.pack()
            self.fixed = True

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        with self.exchanging:
            self._unfix()
            steady = [tensor for name, tensor in self.named_buffers() if name not in _CAST]

            def apply(tensor: Tensor) -> Tensor:
                result = fn(tensor)
                if result.dtype == tensor.dtype or all(tensor is not each for each in steady):
                    return result
                return tensor.to(result.device)

            module: nn.Module = super()._apply(apply, recurse)  # type: ignore[no-untyped-call]
        return module

    @override
    def _save_to_state_dict(
        self, destination: MutableMapping[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        with self.exchanging:
            held = self._take_stored_form()
            super()._save_to_state_dict(destination, prefix, keep_vars)
            for name, back in self._lent.items():
                destination[f"{prefix}{name}"] = back()
            self._buffers.update(held)

    @override
    def _load_from_state_dict(self, *arguments: object) -> None:
        with self.exchanging:
            self._unfix()
            super()._load_from_state_dict(*arguments)

    @override
    def __getstate__(self) -> dict[str, object]:
        with self.exchanging:
            held = self._take_stored_form()
            # With a dictionary of its own, which another thread does not exchange buffers in.
            buffers = {**self._buffers, **{name: back() for name, back in self._lent.items()}}
            state = {**self.__dict__, "_buffers": buffers, "fixed": False, "_lent": {}}
            self._buffers.update(held)
        del state["exchanging"]
        return state

    @override
    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.exchanging = RLock()

    def _take_stored_form(self) -> dict[str, Tensor | None]:
        """Hold the stored form, but for what is lent; return what a fixed module held before."""
        held = dict(self._buffers)
        if not self._lent:
            self.unpack()
        return held if self.fixed else {}

    def _unfix(self) -> None:
        self.reclaim()
        self.unpack()
        self.fixed = False


class QuantizedLinear(Quantized):
    """`x Wᵀ + b` with a quantized W. The bias stays as it is.

    An adapter may stand in its place, and compute with it: sizes and bias are those of
    `torch.nn.Linear`, and where gradients for the input are wanted, `forward` gives them, packed or
    not: those of a product with `dequantize()`. W itself has none.

    Attributes:
        in_features: Inputs.
        out_features: Outputs.
        bias: b, or `None`.
    """

    in_features: int
    out_features: int
    bias: Tensor | None

    @override
    @abstractmethod
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        """Return the product in the input's type; a row of it depends on that row only.

        As it is stored, it should compute as it does packed: a model of which parts come and go
        computes unpacked, and writes the same text if products are the same.
        """


class QuantizedTable(Quantized):
    """A quantized table of vectors: looked up for the input and, where tied, read as the head."""

    @override
    @abstractmethod
    def forward(self, tokens: Int[Tensor, "*places"]) -> Float[Tensor, "*places embed"]:
        """Return the tokens' vectors, in the type in which the model computes: that of `like`."""

    @abstractmethod
    def attend(self, x: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return each vector's product with every entry, in float32."""
