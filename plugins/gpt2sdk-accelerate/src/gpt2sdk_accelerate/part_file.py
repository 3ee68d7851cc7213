"""A part's weights in a safetensors file, mapped into memory."""

import json
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, final

import torch
from torch import Tensor

from gpt2sdk import PlacementError
from gpt2sdk_accelerate.flat import Flat
from gpt2sdk_accelerate.ledger import megabytes

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@final
class PartFile:
    """A file of a part's tensors, and its pages.

    Pages are private: they are read from the file when they are looked at, and whatever were
    written to them would not get into it. The mapping goes with the last tensor that uses it.

    Attributes:
        tensors: The module's tensors, in the file's pages.
    """

    def __init__(self, name: str, flat: Flat, folder: str | None) -> None:
        """Write a part's tensors, and map them.

        Args:
            name: The part's.
            flat: Its tensors, without gaps.
            folder: Where to; `None` for a file without a name, which is gone with its mapping.

        Raises:
            PlacementError: If the disk is full, or a tensor is of a type that files do not have.
        """
        header = _header(name, flat)
        length = len(header) + flat.nbytes
        try:
            with _opened(name, folder) as file:
                _write(file, header, flat)
                self._pages = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise PlacementError(
                f"{name} could not be written to {folder or temporary_folder()}: {error.strerror}; "
                f"{megabytes(length)} are needed, name another place with offload_folder"
            ) from error
        memory = torch.frombuffer(self._pages, dtype=torch.uint8, offset=len(header))
        self.tensors: list[Tensor] = flat.views(memory)

    def read_ahead(self) -> None:
        """Let the system read the file in the background, unless it has it already."""
        self._advise("MADV_WILLNEED")

    def let_go(self) -> None:
        """Unmap the pages; the system has them in its cache for as long as it likes."""
        self._advise("MADV_DONTNEED")

    def _advise(self, name: str) -> None:
        # Where a system lacks it, pages come when they are needed and go when others are.
        if (advice := getattr(mmap, name, None)) is not None:
            self._pages.madvise(advice)


def temporary_folder() -> str:
    """Return where files go by default: on a disk, while the usual folder may be in memory."""
    lasting = "/var/tmp"  # noqa: S108 - a file without a name is made in it
    return lasting if os.access(lasting, os.W_OK) else tempfile.gettempdir()


@contextmanager
def _opened(name: str, folder: str | None) -> Iterator[IO[bytes]]:
    """Open a file for writing; in a folder it gets its name once it is complete."""
    if folder is None:
        with tempfile.TemporaryFile(dir=temporary_folder()) as nameless:
            yield nameless
        return
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{name}.", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise
    # Whoever has mapped an older file of this name keeps that one.
    Path(file.name).replace(Path(folder) / f"{name}.safetensors")


def _write(file: IO[bytes], header: bytes, flat: Flat) -> None:
    file.write(header)
    for tensor in flat.tensors:
        plain = tensor.detach().contiguous()
        # A dimension of one may have any stride in what counts as contiguous.
        plain = plain.as_strided((plain.numel(),), (1,))
        if plain.numel():
            file.write(plain.view(torch.uint8).numpy().data)
    file.flush()


def _header(name: str, flat: Flat) -> bytes:
    """Return what stands before the numbers; it ends at a page's end, so that they are aligned."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt", "part": name}}
    for each, start, shape, dtype in zip(
        flat.names, flat.starts, flat.shapes, flat.dtypes, strict=True
    ):
        if dtype not in _NAMES:
            raise PlacementError(f"{name}: {each} is {dtype}, which cannot be kept on disk")
        end = start + shape.numel() * dtype.itemsize
        entries[each] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries).encode()
    length = -(-(8 + len(text)) // mmap.PAGESIZE) * mmap.PAGESIZE
    return (length - 8).to_bytes(8, "little") + text.ljust(length - 8)
