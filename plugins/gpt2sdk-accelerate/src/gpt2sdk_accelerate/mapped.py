"""A part on disk that the CPU computes with, straight from the pages of its file."""

from threading import Lock
from typing import final

from torch import nn
from typing_extensions import override

from gpt2sdk_accelerate.flat import Flat
from gpt2sdk_accelerate.heap import return_freed
from gpt2sdk_accelerate.keeper import Keeper
from gpt2sdk_accelerate.part_file import PartFile


@final
class Mapped(Keeper):
    """Nothing is copied: the module's tensors are the file's pages.

    Several threads may compute with one part; the last one lets the pages go.
    """

    def __init__(self, name: str, folder: str | None) -> None:
        self._name = name
        self._folder = folder
        self._flat: Flat | None = None
        self._file: PartFile | None = None
        self._users = 0
        self._lock = Lock()

    @override
    def stow(self, module: nn.Module) -> None:
        self._flat = Flat(module)
        self._file = PartFile(self._name, self._flat, self._folder)
        self._flat.bind(self._file.tensors)
        return_freed()

    @override
    def prefetch(self) -> None:
        if self._file is not None:
            self._file.read_ahead()

    @override
    def acquire(self) -> None:
        with self._lock:
            self._users += 1

    @override
    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._file is not None:
                self._file.let_go()

    @override
    def close(self) -> None:
        if self._flat is not None:
            self._flat.drop()
        self._flat = self._file = None
