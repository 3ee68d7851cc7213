"""Weights in fewer bits: what becomes of each matrix, decided before a byte of it is read."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk.components.component import Component
from gpt2sdk.components.tensor_source import TensorInfo


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
    """

    format: str
    nbytes: int
    stored: Mapping[str, TensorInfo] = field(repr=False)
    workspace: int = 0
    note: str = ""


class Quantized(nn.Module):
    """A module that holds a quantized matrix. All it holds are buffers, so it moves and copies.

    It works as it is. `pack` may exchange the buffers for a form that kernels read faster, never
    keep both; `unpack` restores them bit for bit, as does whatever moves, copies, loads or saves
    the module: this class sees to that. Packing exchanges buffers for others or for `None`, so
    that a runner notices when it was undone.
    """

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

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        self.unpack()
        module: nn.Module = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return module

    @override
    def _save_to_state_dict(
        self, destination: MutableMapping[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        self.unpack()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    @override
    def _load_from_state_dict(self, *arguments: object) -> None:
        self.unpack()
        super()._load_from_state_dict(*arguments)

    @override
    def __getstate__(self) -> dict[str, object]:
        self.unpack()
        return self.__dict__.copy()


class QuantizedLinear(Quantized):
    """`x Wᵀ + b` with a quantized W. The bias stays as it is."""

    in_features: int
    out_features: int
    bias: Tensor | None

    @override
    @abstractmethod
    def forward(self, input: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        """Return the product in the input's type; a row of it depends on that row only."""


class QuantizedTable(Quantized):
    """A quantized table of vectors: looked up for the input and, where tied, read as the head."""

    @override
    @abstractmethod
    def forward(self, tokens: Int[Tensor, "*places"]) -> Float[Tensor, "*places embed"]:
        """Return the tokens' vectors, in the type in which the model computes."""

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
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> QuantizedLinear:
        """Make a layer or head on a device.

        Args:
            matrix: What was planned.
            slabs: Its consecutive rows on the CPU, a few MiB at a time, in the stored type. A slab
                is good until the next one is asked for.
            bias: Its bias, on the device and in `dtype`.
            device: Where to.
            dtype: The type in which the model computes.
        """

    @abstractmethod
    def table(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows embed"]],
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> QuantizedTable:
        """Make a table on a device; the arguments are those of `linear`."""

    @abstractmethod
    def restore(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> QuantizedLinear | QuantizedTable:
        """Make a module from stored tensors, which are on the CPU and may be mapped from a file.

        The products are those of the module whose `stored` they were, bit for bit.

        Raises:
            CheckpointError: If the tensors contradict each other or the settings.
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
