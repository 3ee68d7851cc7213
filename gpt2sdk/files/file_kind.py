"""Which format a weight file is in: by what it begins with, and by its name where that is silent.

Names mislead: `.ckpt` is Lightning's suffix as well as TensorFlow's, and files get renamed.
"""

from pathlib import Path
from typing import Literal

from gpt2sdk.downloads import failed_download

FileKind = Literal["safetensors", "torch", "TensorFlow", "Flax", "GGUF", "ONNX"]

READABLE: tuple[FileKind, ...] = ("safetensors", "torch")
"""The formats that are read here."""

_BEGINNINGS: dict[bytes, FileKind] = {
    b"PK\x03\x04": "torch",
    b"GGUF": "GGUF",
    b"\x89HDF": "TensorFlow",
}
# Torch wrote pickles of protocol 2 before it wrote zip archives (1.6, 2020).
_PICKLE = b"\x80"
_SUFFIXES: dict[str, FileKind] = {
    ".h5": "TensorFlow",
    ".ckpt": "TensorFlow",
    ".msgpack": "Flax",
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    ".safetensors": "safetensors",
    ".bin": "torch",
    ".pt": "torch",
    ".pth": "torch",
}
WEIGHT_SUFFIXES = tuple(_SUFFIXES)
"""How the names of weight files end."""


def file_kind(file: Path) -> FileKind:
    """Return a weight file's format; of what is none, the one that its reader can best explain.

    Raises:
        OSError: If the file cannot be read.
    """
    with file.open("rb") as opened:
        start = opened.read(9)
    for beginning, kind in _BEGINNINGS.items():
        if start.startswith(beginning):
            return kind
    # The length of its header, below 2⁴⁸, and the header, which is JSON.
    if start[6:] == b"\0\0{":
        return "safetensors"
    if start.startswith(_PICKLE):
        return "torch"
    named = _SUFFIXES.get(file.suffix, "torch")
    failed = named not in READABLE and failed_download(file, text=False)
    return "torch" if failed else named
