"""Safetensors files written bundle by bundle, so that no second copy of a model is held."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.errors import CheckpointError
from gpt2sdk.files.tensors import SAFETENSORS_DTYPES, slab_bounds

_HEADER_DTYPES = {name: code for code, name in SAFETENSORS_DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Bundle:
    """Tensors that are made together, once it is their turn to be written.

    Attributes:
        infos: Their shapes and types, by their names in the file.
        make: Returns them; they are let go when they are written.
    """

    infos: Mapping[str, TensorInfo]
    make: Callable[[], Mapping[str, Tensor]] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return sum(map(stored_nbytes, self.infos.values()))


def stored_nbytes(info: TensorInfo) -> int:
    """Return how many bytes a tensor has in a file; of any length, none.

    >>> stored_nbytes(TensorInfo((2, 3), "bfloat16")), stored_nbytes(TensorInfo((-1,), "uint8"))
    (12, 0)
    """
    return max(math.prod(info.shape), 0) * _itemsize(info)


def is_writable(info: TensorInfo) -> bool:
    """Whether the format has this type."""
    return info.dtype in _HEADER_DTYPES


def write_shards(
    folder: Path,
    bundles: Sequence[Bundle],
    *,
    most: int,
    watch: Callable[[int], None] = lambda _nbytes: None,
) -> None:
    """Write weights into an existing folder: one file, or several with an index.

    Args:
        folder: Where to.
        bundles: What to write; a bundle is never divided.
        most: Most bytes of one file.
        watch: Is told how many bytes each bundle had, as it is written.

    Raises:
        CheckpointError: If a bundle makes other tensors than it said.
    """
    shards = _shards(bundles, most)
    if len(shards) == 1:
        _write_file(folder / "model.safetensors", shards[0], watch)
        return
    weight_map: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        total += _write_file(folder / name, shard, watch)
        weight_map |= dict.fromkeys(chain.from_iterable(one.infos for one in shard), name)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    text = f"{json.dumps(index, indent=2, ensure_ascii=False)}\n"
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _shards(bundles: Sequence[Bundle], most: int) -> list[list[Bundle]]:
    shards: list[list[Bundle]] = [[]]
    size = 0
    for one in bundles:
        if shards[-1] and size + one.nbytes > most:
            shards.append([])
            size = 0
        shards[-1].append(one)
        size += one.nbytes
    return shards


def _write_file(file: Path, bundles: Sequence[Bundle], watch: Callable[[int], None]) -> int:
    """Write a header, and each bundle's tensors where the header says; return the tensors' bytes.

    The library's own writer wants all of them in memory at once, in the orientation of the file:
    a second copy of the model. The format is a length, a JSON header and the bytes. Tensors of any
    length, which are short texts, come last, once all have been made; the header leaves room.
    """
    infos = {key: info for one in bundles for key, info in one.infos.items()}
    known = {key: info for key, info in infos.items() if -1 not in info.shape}
    longest = {key: TensorInfo((10**9,), infos[key].dtype) for key in infos.keys() - known.keys()}
    room = len(_encoded(_described(known, longest)))
    spans = _described(known, {})
    late: dict[str, Tensor] = {}
    with file.open("wb") as opened:
        for one in bundles:
            made = one.make()
            _check(one, made)
            for key, tensor in made.items():
                if key in spans:
                    opened.seek(room + spans[key].start)
                    _write_tensor(opened, tensor)
                else:
                    late[key] = tensor.clone()
            watch(one.nbytes)
        opened.seek(0, os.SEEK_END)
        for tensor in late.values():
            _write_tensor(opened, tensor)
        described = _described(known, {key: TensorInfo.of(tensor) for key, tensor in late.items()})
        opened.seek(0)
        opened.write(_encoded(described, room))
    return sum(span.end - span.start for span in described.values())


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a tensor lies behind the header."""

    info: TensorInfo
    start: int
    end: int


def _described(known: Mapping[str, TensorInfo], late: Mapping[str, TensorInfo]) -> dict[str, _Span]:
    """Lay tensors out, one behind the other."""
    spans = {}
    end = 0
    # Wider types first, so that every tensor starts at a multiple of its element size.
    ordered = sorted(known.items(), key=lambda item: -_itemsize(item[1]))
    for key, info in (*ordered, *late.items()):
        start, end = end, end + stored_nbytes(info)
        spans[key] = _Span(info, start, end)
    return spans


def _encoded(spans: Mapping[str, _Span], length: int = 0) -> bytes:
    """Return the file's beginning; blanks fill it up to a length, or to a multiple of 8."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for key, span in spans.items():
        header[key] = {
            "dtype": _HEADER_DTYPES[span.info.dtype],
            "shape": list(span.info.shape),
            "data_offsets": [span.start, span.end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(max(length - 8, len(text) + -len(text) % 8))
    return len(text).to_bytes(8, "little") + text


def _write_tensor(opened: BinaryIO, tensor: Tensor) -> None:
    for slab in _slabs(tensor):
        plain = slab.detach().cpu().contiguous()
        # A dimension of one may have any stride in what counts as contiguous.
        plain = plain.as_strided((plain.numel(),), (1,))
        opened.write(plain.view(torch.uint8).numpy().data)


def _slabs(tensor: Tensor) -> Iterator[Tensor]:
    if not tensor.ndim:
        yield tensor.reshape(1)
        return
    for start, end in slab_bounds(TensorInfo.of(tensor), dim=0):
        yield tensor[start:end]


def _check(bundle: Bundle, made: Mapping[str, Tensor]) -> None:
    found = {key: TensorInfo.of(tensor) for key, tensor in made.items()}
    fits = found.keys() == bundle.infos.keys()
    if not fits or not all(info.admits(found[key]) for key, info in bundle.infos.items()):
        raise CheckpointError(
            f"expected to write {dict(bundle.infos)}, but was given {found}: the quantizer that "
            "made them does not keep to its plan"
        )


def _itemsize(info: TensorInfo) -> int:
    dtype = getattr(torch, info.dtype)
    return dtype.itemsize if isinstance(dtype, torch.dtype) else 0
