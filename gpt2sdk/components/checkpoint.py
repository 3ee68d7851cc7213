"""A checkpoint's weights under the model's names, streamed straight into place.

Resolve, plan, stream: an architecture looks at names, shapes and ties without reading weights;
`Checkpoint.slabs` hands out each parameter in `[out, in]` rows, so that who allocates, places or
quantizes it needs neither the whole tensor nor a second copy.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from gpt2sdk.components.quantizer import Matrix
from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.errors import CheckpointError, PlacementError, listing

Shape = tuple[int, ...]
QuantizedInfos = Mapping[str, Mapping[str, TensorInfo]]
"""What is found in place of quantized parameters: their tensors by suffix."""

_FLOATS = ("float64", "float32", "float16", "bfloat16")


class Shaped(Protocol):
    """What a checkpoint asks of its architecture."""

    def parameters(self) -> Mapping[str, Shape]:
        """Every parameter's name and shape."""

    def matrices(self, dtype: torch.dtype) -> Iterator[Matrix]:
        """What a quantizer may be asked about."""

    def weight_dtype(self) -> torch.dtype | None:
        """The weights' type, where the config names it."""


A_co = TypeVar("A_co", bound=Shaped, covariant=True)


@dataclass(frozen=True, slots=True)
class StoredParameter:
    """Where one parameter lies in a checkpoint.

    Attributes:
        key: Its name there.
        transposed: Whether the checkpoint has it `[in, out]`; here matrices are `[out, in]`.
    """

    key: str
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a checkpoint has each parameter.

    Attributes:
        entries: The entry of each parameter, by its name here.
        quantized: The keys of each quantized parameter, by suffix; these have no entry.
    """

    entries: Mapping[str, StoredParameter]
    quantized: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[A_co]):
    """Weights that fit an architecture, ready to be read.

    Attributes:
        architecture: What they are the weights of; where the file contradicts its ties, these
            follow the file.
        source: Where the tensors are.
        layout: Where each parameter lies there.
        notes: What a reader of the checkpoint should know, one line each.
    """

    architecture: A_co
    source: TensorSource
    layout: Layout
    notes: tuple[str, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type: what the config says, else that of the file."""
        return self.architecture.weight_dtype() or self.file_dtype

    @property
    def file_dtype(self) -> torch.dtype:
        """The type in which the file has the first parameter that is not quantized."""
        names = self.architecture.parameters()
        return self.stored_dtype(next(name for name in names if name in self.layout.entries))

    def stored_dtype(self, name: str) -> torch.dtype:
        """Return the type in which the file has a plain parameter.

        Raises:
            CheckpointError: If torch has no such type.
        """
        stored = self.source.infos[self.layout.entries[name].key].dtype
        dtype = getattr(torch, stored, None)
        if not isinstance(dtype, torch.dtype):
            raise CheckpointError(f"{self.source.path}: {stored} is no type of numbers")
        return dtype

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Every parameter's name and shape, matrices `[out, in]`; what is tied is there once."""
        return self.architecture.parameters()

    def matrices(self) -> dict[str, Matrix]:
        """Return the matrices by name, each in the type in which the file has it.

        Quantized ones have the type that the config names.
        """
        return {
            matrix.name: matrix
            if matrix.name in self.layout.quantized
            else replace(matrix, dtype=self.stored_dtype(matrix.name))
            for matrix in self.architecture.matrices(self.dtype)
        }

    def slabs(self, name: str) -> Iterator[Tensor]:
        """Yield a parameter's consecutive rows, a few MiB at a time, on the CPU.

        Matrices come as `[out, in]`, however they are stored. A slab is good until the next one
        is asked for, and has the stored type.

        Raises:
            CheckpointError: If the file cannot be read.
        """
        return entry_slabs(self.source, self.layout.entries[name])

    def read(self, name: str, *, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Read one parameter into a new tensor, converted on the way.

        Raises:
            CheckpointError: If the file cannot be read.
            PlacementError: If the device has no room for it.
        """
        whole = self._allocate(name, device, dtype)
        start = 0
        for slab in self.slabs(name):
            if not whole.ndim:
                return whole.copy_(slab)
            whole[start : start + len(slab)].copy_(slab)
            start += len(slab)
        return whole

    def read_quantized(self, name: str) -> Mapping[str, Tensor]:
        """Return the tensors of a quantized parameter by suffix; they may be mapped from the file.

        Raises:
            CheckpointError: If the file cannot be read.
        """
        keys = self.layout.quantized[name]
        return {suffix: self.source.read(key) for suffix, key in keys.items()}

    def fill(
        self, model: nn.Module, name: str, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Give a model without weights one of its parameters.

        Raises:
            CheckpointError: If the file cannot be read.
            PlacementError: If the device's memory does not suffice.
        """
        module, _, leaf = name.rpartition(".")
        value = self.read(name, device=device, dtype=dtype)
        setattr(model.get_submodule(module), leaf, nn.Parameter(value, requires_grad=False))

    def _allocate(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        shapes = self.shapes
        try:
            return torch.empty(shapes[name], device=device, dtype=dtype)
        except RuntimeError as error:
            numbers = sum(torch.Size(shape).numel() for shape in shapes.values())
            raise PlacementError(
                f"{device}: no room left for {name}; the weights take "
                f"{numbers * dtype.itemsize / 2**30:.2f} GiB in all: expected a larger device, a "
                "smaller dtype, quantization or placement",
                out_of_memory=True,
            ) from error


def entry_slabs(source: TensorSource, entry: StoredParameter) -> Iterator[Tensor]:
    """Yield what lies at an entry in consecutive rows, matrices as `[out, in]`."""
    if not entry.transposed:
        yield from source.slabs(entry.key)
        return
    for slab in source.slabs(entry.key, dim=1):
        # Turning and converting are fast only one at a time, and from contiguous memory.
        yield slab.contiguous().T.contiguous()


def stored_name(name: str, suffix: str) -> str:
    """Return where a tensor of a quantized parameter lies.

    >>> stored_name("h.0.attn.c_attn.weight", ".scale"), stored_name("lm_head.weight", "../SCB")
    ('h.0.attn.c_attn.weight.scale', 'lm_head.SCB')
    """
    if suffix.startswith("../"):
        return f"{name.rpartition('.')[0]}.{suffix.removeprefix('../')}"
    return name + suffix


def lay_out(
    source: TensorSource,
    keys: Mapping[str, str],
    entries: Mapping[str, tuple[StoredParameter, Shape]],
    quantized: QuantizedInfos,
    hints: Iterable[str] = (),
) -> Layout:
    """Compare a checkpoint's tensors with what is expected of them.

    Args:
        source: The tensors; only names, shapes and types are looked at.
        keys: The key of each name that is there.
        entries: Where each plain parameter is to be, and its shape here.
        quantized: What is to be found in place of the others.
        hints: What a misfit points to; asked for only then.

    Raises:
        CheckpointError: If keys are missing, unexpected or of the wrong shape or type. All of them
            are in the error; the message lists the first, and the hints.
    """
    infos = source.infos
    wanted = {
        name: {suffix: (stored_name(name, suffix), info) for suffix, info in stored.items()}
        for name, stored in quantized.items()
    }
    packed = {own: info for stored in wanted.values() for own, info in stored.values()}
    missing = [name for name in (*entries, *packed) if name not in keys]
    unexpected = [key for name, key in keys.items() if name not in entries and name not in packed]
    mismatched = [
        problem
        for name, (entry, shape) in entries.items()
        if name in keys
        for problem in _mismatches(entry, infos[entry.key], shape)
    ]
    mismatched += [
        f"{keys[name]}: expected {_described(info)}, found {_described(infos[keys[name]])}"
        for name, info in packed.items()
        if name in keys and not info.admits(infos[keys[name]])
    ]
    if missing or unexpected or mismatched:
        raise _misfit(source, missing, unexpected, mismatched, list(hints))
    return Layout(
        {name: entry for name, (entry, _) in entries.items()},
        {
            name: {suffix: keys[own] for suffix, (own, _) in stored.items()}
            for name, stored in wanted.items()
        },
    )


def _described(info: TensorInfo) -> str:
    return f"{info.dtype} of shape {list(info.shape)}"


def _mismatches(entry: StoredParameter, info: TensorInfo, expected: Shape) -> Iterator[str]:
    stored = expected[::-1] if entry.transposed else expected
    if info.shape != stored:
        yield f"{entry.key}: expected shape {list(stored)}, found {list(info.shape)}"
    elif info.dtype not in _FLOATS:
        yield f"{entry.key}: expected floating point numbers, found {info.dtype}"


def _misfit(
    source: TensorSource,
    missing: Sequence[str],
    unexpected: Sequence[str],
    mismatched: Sequence[str],
    hints: Sequence[str],
) -> CheckpointError:
    parts = [
        f"{len(names)} {what}: {listing(names, most=6)}"
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("mismatched", mismatched),
        )
        if names
    ]
    cause = f" ({'; '.join(hints)})" if hints else ""
    return CheckpointError(
        f"{source.path}: the weights do not fit the config{cause}; {'; '.join(parts)}",
        path=source.path,
        missing=missing,
        unexpected=unexpected,
        mismatched=mismatched,
    )
