"""Weights in fewer bits: what becomes of each matrix, decided before a byte of it is read."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from threading import RLock
from typing import ClassVar, Literal, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk.components.component import Component
from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.errors import CheckpointError, OptionError

# Buffers of a quantized module that a cast is meant for.
_CAST = ("bias", "like")


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix of a model, known by its size only.

    Attributes:
        name: The parameter's name, such as `h.0.attn.c_attn.weight`.
        shape: Outputs and inputs; entries and their width for a table.
        dtype: The type in which the checkpoint has it.
        use: A `linear` layer in a block, the `table` of tokens, or a `head` that is not tied to it.
        tied: Whether the table is the output head, too.
    """

    name: str
    shape: tuple[int, int]
    dtype: torch.dtype
    use: Literal["linear", "table", "head"]
    tied: bool = False


@dataclass(frozen=True, slots=True)
class QuantizedMatrix:
    """What a quantizer makes of a matrix.

    Attributes:
        format: In a few words, for tables: `int8 per row`, `nf4, double`.
        nbytes: Bytes it takes while the model runs, whichever form it then has; no bias.
        stored: The tensors it has in a checkpoint, by what is appended to the parameter's name:
            the empty string for the numbers themselves, `.scale` and the like for what belongs to
            them. `../SCB` stands beside the parameter: `c_attn.SCB` with `c_attn.weight`.
        workspace: Most bytes that are needed besides, while it is made from slabs.
        note: What a reader of a plan should know; empty for nothing.
        packing_workspace: Most bytes that are needed besides, while the module packs or unpacks:
            the other form, for a moment, and what is worked on; 0 if it stays as it is.
        passing_workspace: Most bytes that are needed besides, while the module computes unpacked:
            what a product makes of the matrix, without activations and gradients.
        portable: Whether it packs into ordinary tensors, which can be written to a file and
            computed with from there, so that it need not be packed again whenever it is brought.
    """

    format: str
    nbytes: int
    stored: Mapping[str, TensorInfo] = field(repr=False)
    workspace: int = 0
    note: str = ""
    packing_workspace: int = 0
    passing_workspace: int = 0
    portable: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where a module is wanted, and for computing in which type.

    Attributes:
        device: Where it computes.
        dtype: The type in which the model computes: that of activations and of the bias.
    """

    device: torch.device
    dtype: torch.dtype


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


class Quantizer(Component):
    """Holds matrices in fewer bits. Its fields are its settings.

    A loader calls `probe` once, `plan` for each matrix, and then for each planned one `linear` or
    `table` with its numbers, or `restore` with what a quantized checkpoint holds.

    Attributes:
        rows_independent: Whether a row's products are the same beside any other rows.
        ladder: Its place among those that `quantization="auto"` may choose: the smallest is the
            best quality. `None`: it is used by those who ask for it only.
    """

    rows_independent: ClassVar[bool] = True
    ladder: ClassVar[int | None] = None

    @abstractmethod
    def probe(self, device: torch.device) -> str:
        """Make sure that it works on a device, with numbers, and say how it will compute there.

        Raises:
            PlacementError: If a package, a kernel or a capability of the device is missing; the
                message says what to do.
        """

    @abstractmethod
    def plan(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix | None:
        """Say what becomes of a matrix; `None` if it stays as it is. Allocates nothing."""

    @abstractmethod
    def linear(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows in"]],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        """Make a layer or head.

        Args:
            matrix: What was planned.
            slabs: Its consecutive rows on the CPU, a few MiB at a time, in the stored type. A slab
                is good until the next one is asked for.
            bias: Its bias, as the target says.
            target: What for.

        Raises:
            CheckpointError: If a weight is NaN or infinite; the message names the matrix.
        """

    @abstractmethod
    def table(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows embed"]],
        target: Target,
    ) -> QuantizedTable:
        """Make a table; the arguments are those of `linear`."""

    @abstractmethod
    def restore(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear | QuantizedTable:
        """Make a module from stored tensors, which are on the CPU and may be mapped from a file.

        The products are those of the module whose `stored` they were, bit for bit.

        Raises:
            CheckpointError: If the tensors contradict each other or the settings, or hold NaN or
                infinity; the message names the matrix.
        """

    @abstractmethod
    def config(self) -> Mapping[str, object]:
        """Return the `quantization_config` of a checkpoint's `config.json`: JSON values."""

    @classmethod
    @abstractmethod
    def claim(cls, config: Mapping[str, object]) -> Self | None:
        """Return the quantizer that reads checkpoints of this `quantization_config`.

        `None` if it is someone else's.

        Raises:
            CheckpointError: If it is this one's, but of a version or with settings it cannot read.
        """

    def fitted(self, infos: Mapping[str, TensorInfo]) -> Self:
        """Return this quantizer with settings that only a checkpoint's tensors tell; none here.

        Args:
            infos: The checkpoint's tensors, by their names in it.

        Raises:
            CheckpointError: If they have settings that are not offered.
        """
        return self

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Self | None:
        """Return the quantizer that a user's config of another library asks for.

        It has the form of a `quantization_config`, and asks for the same settings: by default it is
        the one that reads what was quantized so. `None` if it is someone else's.

        Raises:
            OptionError: If it is this one's, but has settings that are not offered; it names them.
        """
        try:
            return cls.claim(config)
        except CheckpointError as error:
            raise OptionError(
                f"quantization: {error}", name="quantization", value=config
            ) from error
