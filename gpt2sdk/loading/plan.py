"""What loading a model will do: formats, bytes and places, before anything is allocated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from gpt2sdk.components.placement import Kept, Place, Placement, PlacementPlan
from gpt2sdk.components.quantizer import Matrix, QuantizedMatrix, Quantizer
from gpt2sdk.loading.device_memory import size_text


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """What becomes of a matrix.

    Attributes:
        matrix: The matrix, in the type in which the file has it.
        quantized: What the quantizer makes of it; `None` if it stays as it is.
        format: In a few words: `bfloat16`, `int8 per row`.
        nbytes: Bytes it takes while the model runs.
        stored_nbytes: Bytes it takes in the form in which it is kept elsewhere.
        file_nbytes: Bytes in the file.
        workspace: Most bytes that making or packing it needs besides.
        passing_workspace: Most bytes that its products need besides where it does not stay.
        portable: Whether it is packed although it does not stay: the packed form is kept.
        note: What a reader should know; empty for nothing.
    """

    matrix: Matrix
    quantized: QuantizedMatrix | None
    format: str
    nbytes: int
    stored_nbytes: int
    file_nbytes: int
    workspace: int
    passing_workspace: int = 0
    portable: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """What becomes of a part of the model.

    Attributes:
        name: What its architecture calls it: `wte`, `h.0`.
        matrices: Those of its matrices that a quantizer may be asked about.
        nbytes: Bytes it takes while the model runs, packed copies included.
        stored_nbytes: Bytes it takes in the form in which it is kept elsewhere.
        file_nbytes: Bytes in the file.
        workspace: Most bytes that loading and packing it need besides.
        cache_nbytes: Bytes of keys and values for each token of each row.
        row_nbytes: Bytes that it keeps of each row, however long it is: states of recurrent layers.
        device: What computes it: `cpu`, `cuda:0`.
        kept: Where its weights are between uses: on that `device`, in the memory of the `cpu`, or
            on the `disk`.
        reason: Why it is there.
        vectors: Whether it has no matrix, as a norm.
    """

    name: str
    matrices: tuple[MatrixPlan, ...]
    nbytes: int
    stored_nbytes: int
    file_nbytes: int
    workspace: int
    cache_nbytes: int
    device: str
    kept: Kept
    reason: str
    vectors: bool = False
    row_nbytes: int = 0

    @property
    def passing_workspace(self) -> int:
        """Most bytes that its products need besides where it does not stay."""
        return max((each.passing_workspace for each in self.matrices), default=0)

    @property
    def passes(self) -> bool:
        """Whether its weights are brought whenever it computes."""
        return Place(torch.device(self.device), self.kept).passes

    @property
    def making_nbytes(self) -> int:
        """Most bytes that loading needs besides: with its copy, where one is kept elsewhere."""
        copied = self.passes and self.kept == "cpu"
        return self.workspace + self.stored_nbytes * copied

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of its matrices, each once."""
        return tuple(dict.fromkeys(each.format for each in self.matrices))


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What a device will hold, in bytes.

    Attributes:
        weights: Weights, packed copies and buffers for parts in transit included.
        workspace: Most that loading needs besides.
        cache: Keys and values of the tokens that are reserved, and the states of one row.
        passing: Most that products of parts which do not stay need besides.
        budget: Most it may hold; `None` for the disk, which is not asked.
    """

    weights: int
    workspace: int
    cache: int
    passing: int
    budget: int | None

    @property
    def peak(self) -> int:
        """The most it will hold: with the workspace while loading, with the others later."""
        return self.weights + max(self.workspace, self.cache + self.passing)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What loading a model will do.

    Attributes:
        name: What was asked for.
        parameters: How many numbers the model has; a tied output head counts once.
        dtype: The type in which it computes, and in which what is not quantized is held.
        quantizer: What holds matrices in fewer bits; `None` for nothing.
        restored: Whether the file holds them quantized already.
        placement: What distributes the model; `None` where all of it is on one device.
        places: The placement's plan.
        parts: The parts, in the order in which they compute.
        devices: What each device will hold.
        reserved_tokens: For how many tokens, of all rows together, keys and values are counted.
        kernels: How quantized products are computed, by device.
        notes: What was decided and why, one line each.
        runners: The names of the runners that will be asked in turn, as far as they run here.
    """

    name: str
    parameters: int
    dtype: torch.dtype
    quantizer: Quantizer | None
    restored: bool
    placement: Placement | None
    places: PlacementPlan | None
    parts: tuple[PartPlan, ...]
    devices: Mapping[str, DevicePlan]
    reserved_tokens: int
    kernels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    runners: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all weights while the model runs, packed copies included."""
        return sum(part.nbytes for part in self.parts)

    @property
    def file_nbytes(self) -> int:
        """Bytes of the weights in the file."""
        return sum(part.file_nbytes for part in self.parts)

    @property
    def cache_nbytes_per_1000_tokens(self) -> int:
        """Bytes of keys and values for 1,000 tokens of one row."""
        return 1000 * sum(part.cache_nbytes for part in self.parts)

    @property
    def row_nbytes(self) -> int:
        """Bytes of the states of one row, however long it is; 0 without recurrent layers."""
        return sum(part.row_nbytes for part in self.parts)

    @property
    def peak_nbytes(self) -> int:
        """The most that all devices hold together, the disk left out."""
        return sum(device.peak for name, device in self.devices.items() if name != "disk")

    @property
    def shortfall(self) -> str:
        """Which device has too little memory; empty if everything fits."""
        for name, device in self.devices.items():
            if device.budget is not None and device.peak > device.budget:
                passing = f", {size_text(device.passing)} for parts that pass" * bool(
                    device.passing
                )
                return (
                    f"{name}: {size_text(device.peak)} are needed "
                    f"({size_text(device.weights)} for weights, {size_text(device.cache)} for keys "
                    f"and values of {self.reserved_tokens} tokens{passing}, "
                    f"{size_text(device.workspace)} while loading), but only "
                    f"{size_text(device.budget)} may be used"
                )
        return ""

    def as_dict(self) -> dict[str, object]:
        """Return the plan as JSON values."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "dtype": _dtype_name(self.dtype),
            "quantization": self.quantizer.name if self.quantizer else None,
            "restored": self.restored,
            "placement": self.placement.name if self.placement else None,
            "nbytes": self.nbytes,
            "file_nbytes": self.file_nbytes,
            "peak_nbytes": self.peak_nbytes,
            "cache_nbytes_per_1000_tokens": self.cache_nbytes_per_1000_tokens,
            "row_nbytes": self.row_nbytes,
            "reserved_tokens": self.reserved_tokens,
            "devices": {name: _device_dict(device) for name, device in self.devices.items()},
            "kernels": dict(self.kernels),
            "runners": list(self.runners),
            "parts": [_part_dict(part) for part in self.parts],
            "notes": list(self.notes),
        }


def _device_dict(device: DevicePlan) -> dict[str, object]:
    return {
        "weights": device.weights,
        "workspace": device.workspace,
        "cache": device.cache,
        "passing": device.passing,
        "peak": device.peak,
        "budget": device.budget,
    }


def _part_dict(part: PartPlan) -> dict[str, object]:
    return {
        "name": part.name,
        "formats": list(part.formats),
        "nbytes": part.nbytes,
        "stored_nbytes": part.stored_nbytes,
        "file_nbytes": part.file_nbytes,
        "workspace": part.workspace,
        "cache_nbytes": part.cache_nbytes,
        "row_nbytes": part.row_nbytes,
        "device": part.device,
        "kept": part.kept,
        "reason": part.reason,
        "matrices": [_matrix_dict(each) for each in part.matrices],
    }


def _matrix_dict(each: MatrixPlan) -> dict[str, object]:
    return {
        "name": each.matrix.name,
        "shape": list(each.matrix.shape),
        "stored_as": _dtype_name(each.matrix.dtype),
        "format": each.format,
        "nbytes": each.nbytes,
        "stored_nbytes": each.stored_nbytes,
        "file_nbytes": each.file_nbytes,
        "workspace": each.workspace,
        "note": each.note,
    }


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
