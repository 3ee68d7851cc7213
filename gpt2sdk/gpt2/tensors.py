"""Weight files that are read slab by slab, so that no second copy is held."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.config import read_json
from gpt2sdk.errors import CheckpointError, listing

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

_OTHER_FORMATS = {
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    ".ckpt": "TensorFlow",
}


@final
class SafetensorsSource(TensorSource):
    """Tensors of one or several `.safetensors` files.

    Args:
        path: What to name in messages.
        files: The files; all their tensors are offered.

    Raises:
        CheckpointError: If a file is cut short, is no safetensors file, or cannot be read. Header
            and file size are compared here, before anything is allocated.
    """

    def __init__(self, path: Path, files: Iterable[Path]) -> None:
        self._path = path
        self._files: dict[str, Path] = {}
        infos: dict[str, TensorInfo] = {}
        for file in files:
            for name, info in _safetensors_infos(file).items():
                _refuse_twice(name, file, self._files)
                self._files[name] = file
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
            raise _unreadable(file, error) from error

    @override
    def read(self, name: str) -> Tensor:
        file = self._files[name]
        try:
            with safe_open(file, framework="pt", device="cpu") as opened:
                mapped: Tensor = opened.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise _unreadable(file, error) from error
        return mapped


@final
class TorchSource(TensorSource):
    """Tensors of one or several files written by `torch.save`, read without running any code.

    Files of torch 1.6 (2020) and later are mapped; older ones can only be read whole.

    Args:
        path: What to name in messages.
        files: The files; all their tensors are offered.

    Raises:
        CheckpointError: If a file is damaged, or holds anything but tensors.
    """

    def __init__(self, path: Path, files: Iterable[Path]) -> None:
        self._path = path
        self._tensors: dict[str, Tensor] = {}
        found_in: dict[str, Path] = {}
        for file in files:
            for name, tensor in _torch_tensors(file).items():
                _refuse_twice(name, file, found_in)
                found_in[name] = file
                self._tensors[name] = tensor
        self._infos = MappingProxyType(
            {name: tensor_info(tensor) for name, tensor in self._tensors.items()}
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
    if file.suffix in _OTHER_FORMATS:
        raise CheckpointError(
            f"{file}: expected safetensors or a torch file, found {_OTHER_FORMATS[file.suffix]}, "
            "which has to be converted",
            path=path,
        )
    files = _shards(file) if file.name.endswith(".index.json") else (file,)
    kinds = {shard.suffix == ".safetensors" for shard in files}
    return SafetensorsSource(file, files) if kinds == {True} else TorchSource(file, files)


def tensor_info(tensor: Tensor) -> TensorInfo:
    """Describe a tensor that is in memory.

    >>> tensor_info(torch.zeros(2, 3))
    TensorInfo(shape=(2, 3), dtype='float32')
    """
    return TensorInfo(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


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
    others = sorted(file.name for file in folder.iterdir() if file.suffix in _OTHER_FORMATS)
    hint = (
        f"; found {others[0]} ({_OTHER_FORMATS[Path(others[0]).suffix]}), which has to be converted"
        if others
        else ""
    )
    raise CheckpointError(
        f"{folder}: expected weights ({' or '.join(WEIGHT_FILES)}), found none{hint}", path=folder
    )


def _shards(index: Path) -> tuple[Path, ...]:
    """List the files an index names; each must lie beside it and hold what the index says."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: expected a weight_map that names the shards", path=index)
    names = sorted({str(name) for name in weight_map.values()})
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(
            f"{index}: expected shards beside the index, found {listing(outside)}", path=index
        )
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise CheckpointError(
            f"{index}: shards are absent, download them again: {listing(absent)}", path=index
        )
    return tuple(index.parent / name for name in names)


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
        raise _unreadable(file, error) from error
    return infos


def _torch_tensors(file: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except Exception as error:
        # A damaged pickle may raise almost anything.
        raise _unreadable(file, error) from error
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{file}: expected named tensors, found a {type(state).__name__}", path=file
        )
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(
            f"{file}: expected tensors only, found other values under {listing(others)}", path=file
        )
    return {str(name): tensor for name, tensor in state.items()}


def _refuse_twice(name: str, file: Path, files: Mapping[str, Path]) -> None:
    if name in files:
        raise CheckpointError(f"{file}: {name} is also in {files[name].name}", path=file)


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    """Say in one line why a weight file cannot be read."""
    try:
        with file.open("rb") as opened:
            start = opened.read(20)
    except OSError as problem:
        return CheckpointError(f"{file}: cannot be read: {problem.strerror}", path=file)
    if start.startswith(b"version https://git"):
        reason = "it is a Git LFS pointer, not the weights: run `git lfs pull` or download it again"
    elif start.lstrip().startswith((b"<", b"{")) and file.suffix == ".safetensors":
        reason = "it holds a web page or JSON, not the weights: download it again"
    elif "Weights only load failed" in str(error):
        reason = "it holds objects other than tensors, and code from a file is never run"
    else:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        reason = f"it is damaged or cut short, download it again ({first_line})"
    return CheckpointError(f"{file}: cannot be read: {reason}", path=file)
