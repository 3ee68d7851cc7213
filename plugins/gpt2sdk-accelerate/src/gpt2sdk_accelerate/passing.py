"""A part that passes through the buffers of a device."""

from typing import final

from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk_accelerate.flat import Flat
from gpt2sdk_accelerate.heap import return_freed
from gpt2sdk_accelerate.keeper import Keeper
from gpt2sdk_accelerate.part_file import PartFile
from gpt2sdk_accelerate.transit import Source, Transit

# What the fastest loads of a device want; torch aligns its own memory to it, too.
_ALIGN = 256


@final
class Passing(Keeper):
    """Keeps a part in pinned memory or in a file; its tensors are on the device while it computes.

    Args:
        name: The part's name.
        transit: The device's buffers.
        on_disk: Whether it is kept in a file.
        folder: Where files are written; `None` for ones without a name.
    """

    def __init__(self, name: str, transit: Transit, *, on_disk: bool, folder: str | None) -> None:
        self._name = name
        self._transit = transit
        self._on_disk = on_disk
        self._folder = folder
        self._flat: Flat | None = None
        self._kept: list[Tensor] = []
        self._source: Source | None = None

    @override
    def stow(self, module: nn.Module) -> None:
        self._flat = flat = Flat(module, _ALIGN)
        self._transit.reserve(flat.nbytes)
        if self._on_disk:
            file = PartFile(self._name, Flat(module), self._folder)
            self._kept = file.tensors

            def read(memory: Tensor) -> None:
                flat.fill(memory, file.tensors)
                file.let_go()

            self._source = read
        else:
            memory = self._transit.lane.on_host(flat.nbytes)
            flat.fill(memory, [tensor.detach() for tensor in flat.tensors])
            self._kept, self._source = flat.views(memory), memory
        flat.bind(self._kept)
        return_freed()

    @override
    def prefetch(self) -> None:
        if self._flat is not None and self._source is not None:
            self._transit.prefetch(self._name, self._source, self._flat.nbytes)

    @override
    def acquire(self) -> None:
        if self._flat is None or self._source is None:
            message = f"{self._name} was acquired before it was stowed"
            raise RuntimeError(message)
        memory = self._transit.enter(self._name, self._source, self._flat.nbytes)
        self._flat.bind(self._flat.views(memory))

    @override
    def release(self) -> None:
        # Work that was issued goes on with the buffer's memory; who looks now sees what is kept.
        if self._flat is not None:
            self._flat.bind(self._kept)
        self._transit.leave()

    @override
    def close(self) -> None:
        if self._flat is not None:
            self._flat.drop()
        self._flat, self._kept, self._source = None, [], None
