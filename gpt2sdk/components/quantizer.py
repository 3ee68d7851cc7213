"""Weights in fewer bits: what becomes of each matrix, decided before a byte of it is read."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk.components.component import Component
from gpt2sdk.components.quantized import QuantizedLinear, QuantizedTable
from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.errors import CheckpointError, OptionError


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
