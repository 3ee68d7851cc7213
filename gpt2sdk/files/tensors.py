"""Weight files that are read slab by slab, so that no second copy is held."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.errors import CheckpointError
from gpt2sdk.files.damage import unreadable
from gpt2sdk.files.file_kind import READABLE, WEIGHT_SUFFIXES, FileKind, file_kind
from gpt2sdk.files.shard_index import Shards, read_index
from gpt2sdk.files.torch_file import read_torch_file

SLAB_BYTES = 2 * 2**20
"""About how much of a tensor is read at once."""

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""The weights of a folder are the first of these that is there; an index names its shards."""

SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""The types of a safetensors header, under torch's names."""

# What trainers write beside weights, under the same suffixes.
_NO_WEIGHTS = ("optimizer", "scheduler", "scaler", "rng_state", "training_args")
_SHARD = re.compile(r"-\d+-of-\d+(?=\.\w+$)", re.ASCII)


@final
class SafetensorsSource(TensorSource):
    """Tensors of one or several safetensors files.

    Args:
        shards: The files; all their tensors are offered.

    Raises:
        CheckpointError: If a file is cut short, is no safetensors file, or cannot be read. Header
            and file size are compared here, before anything is allocated.
    """

    def __init__(self, shards: Shards) -> None:
        self._path = shards.path
        self._files: dict[str, Path] = {}
        infos: dict[str, TensorInfo] = {}
        for file in shards.files:
            for name, info in _safetensors_infos(file).items():
                self._files[name] = shards.place(name, file, self._files)
                if self._files[name] == file:
                    infos[name] = info
        self._infos = MappingProxyType(infos)

    @property
    @override
    def path(self) -> Path:
        return self._path

    @property
    @override
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @override
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        info = self._infos[name]
        file = self._files[name]
        try:
            # The file is mapped anew for each tensor: pages that were read leave the process again,
            # so at most one tensor's pages are counted as its memory.
            with safe_open(file, framework="pt", device="cpu") as opened:
                if not info.shape:
                    yield opened.get_tensor(name)
                    return
                whole = opened.get_slice(name)
                for start, end in slab_bounds(info, dim):
                    yield whole[(slice(None),) * dim + (slice(start, end),)]
        except (SafetensorError, OSError) as error:
            raise unreadable(file, error) from error

    @override
    def read(self, name: str) -> Tensor:
        file = self._files[name]
        try:
            with safe_open(file, framework="pt", device="cpu") as opened:
                mapped: Tensor = opened.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise unreadable(file, error) from error
        return mapped


@final
class TorchSource(TensorSource):
    """Tensors of one or several files written by `torch.save`, read without running any code.

    Args:
        shards: The files; all their tensors are offered.

    Attributes:
        model_args: The sizes that nanoGPT writes beside the tensors; `None` if there are none.

    Raises:
        CheckpointError: If a file is damaged, or holds anything but tensors.
    """

    def __init__(self, shards: Shards) -> None:
        self._path = shards.path
        self._tensors: dict[str, Tensor] = {}
        self.model_args: Mapping[str, object] | None = None
        found_in: dict[str, Path] = {}
        for file in shards.files:
            read = read_torch_file(file)
            self.model_args = read.model_args
            for name, tensor in read.tensors.items():
                found_in[name] = shards.place(name, file, found_in)
                if found_in[name] == file:
                    self._tensors[name] = tensor
        self._infos = MappingProxyType(
            {name: TensorInfo.of(tensor) for name, tensor in self._tensors.items()}
        )

    @property
    @override
    def path(self) -> Path:
        return self._path

    @property
    @override
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @override
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        tensor = self._tensors[name]
        if not tensor.ndim:
            yield tensor
            return
        for start, end in slab_bounds(self._infos[name], dim):
            yield tensor.narrow(dim, start, end - start)

    @override
    def read(self, name: str) -> Tensor:
        return self._tensors[name]


def open_tensors(path: str | Path) -> TensorSource:
    """Open the weights of a folder, or one file of weights or its index.

    Raises:
        CheckpointError: If there are none, a shard is absent, or a file is damaged.
    """
    path = Path(path)
    file = _weight_file(path) if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file", path=path)
    shards = read_index(file) if file.name.endswith(".index.json") else Shards(file, (file,))
    kinds = {_readable_kind(shard) for shard in shards.files}
    if len(kinds) > 1:
        raise CheckpointError(f"{file}: expected shards of one format, found several", path=path)
    return SafetensorsSource(shards) if kinds == {"safetensors"} else TorchSource(shards)


def _readable_kind(file: Path) -> FileKind:
    try:
        kind = file_kind(file)
    except OSError as error:
        raise unreadable(file, error) from error
    if kind not in READABLE:
        raise CheckpointError(
            f"{file}: expected safetensors or a torch file, found {kind}, which has to be "
            "converted",
            path=file,
        )
    return kind


def slab_bounds(info: TensorInfo, dim: int) -> Iterator[tuple[int, int]]:
    """Cut one axis into pieces of about `SLAB_BYTES`.

    >>> list(slab_bounds(TensorInfo((5, 2**18), "float32"), dim=0))
    [(0, 2), (2, 4), (4, 5)]
    """
    length = info.shape[dim]
    # Four bytes an element is exact for float32 and on the safe side for the shorter types.
    line = 4 * torch.Size(info.shape).numel() // max(length, 1)
    step = max(1, SLAB_BYTES // max(line, 1))
    for start in range(0, length, step):
        yield start, min(start + step, length)


def _weight_file(folder: Path) -> Path:
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"{folder}: expected weights ({' or '.join(WEIGHT_FILES)}), found none"
        f"{_other_weights(folder)}",
        path=folder,
    )


def _other_weights(folder: Path) -> str:
    """Say what else a folder holds that may be weights, and what to do with it."""
    files = [file for file in folder.iterdir() if file.is_file() and _may_be_weights(file)]
    if not files:
        return ""
    # A trainer's other files are smaller than the weights, or known by name.
    file = max(files, key=lambda file: (file_kind(file) in READABLE, file.stat().st_size))
    kind = file_kind(file)
    if kind not in READABLE:
        return f"; found {file.name} ({kind}), which has to be converted"
    shard = _SHARD.search(file.name)
    if shard:
        index = f"{file.name[: shard.start()]}{file.suffix}.index.json"
        return f"; found {file.name} without {index}: download that, too"
    return f"; found {file.name}: if that holds them, name it: {file}"


def _may_be_weights(file: Path) -> bool:
    return file.suffix in WEIGHT_SUFFIXES and not file.stem.startswith(_NO_WEIGHTS)


def _safetensors_infos(file: Path) -> dict[str, TensorInfo]:
    infos = {}
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            keys = opened.keys()
            for name in keys:
                header = opened.get_slice(name)
                dtype = str(header.get_dtype())
                infos[name] = TensorInfo(
                    tuple(header.get_shape()), SAFETENSORS_DTYPES.get(dtype, dtype)
                )
    except (SafetensorError, OSError) as error:
        raise unreadable(file, error) from error
    return infos
