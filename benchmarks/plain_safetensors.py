"""Matrices of a `model.safetensors` in float32, with numpy alone."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np


class Weights(Mapping[str, np.ndarray]):
    """The tensors of a folder's one file, read where it lies."""

    def __init__(self, folder: str) -> None:
        file = Path(folder) / "model.safetensors"
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length))
        self._entries = {name: each for name, each in header.items() if name != "__metadata__"}
        self._data = np.memmap(file, np.uint8, "r", offset=8 + length)

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries.get(name) or self._entries[f"transformer.{name}"]
        start, stop = entry["data_offsets"]
        return self._data[start:stop].view(np.float32).reshape(entry["shape"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def config_of(folder: str) -> dict[str, int]:
    """Return a folder's `config.json`."""
    found: dict[str, int] = json.loads((Path(folder) / "config.json").read_text())
    return found
