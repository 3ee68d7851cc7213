"""How bytes get from the CPU's memory to a device."""

from abc import ABC, abstractmethod
from typing import final

import torch
from jaxtyping import UInt8
from torch import Tensor
from typing_extensions import override

# A point in a device's work that can be waited for; `None` where nothing is ever under way.
Mark = torch.cuda.Event | None


class Lane(ABC):
    """Sends bytes to a device.

    Attributes:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def on_host(self, nbytes: int) -> UInt8[Tensor, " bytes"]:
        """Return memory of the CPU that is fast to send from."""

    def on_device(self, nbytes: int) -> UInt8[Tensor, " bytes"]:
        """Return memory of the device."""
        with torch.inference_mode(mode=False):
            return torch.empty(nbytes, dtype=torch.uint8, device=self.device)

    @abstractmethod
    def mark(self) -> Mark:
        """Return a mark behind the work that was issued to the device by now."""

    @abstractmethod
    def send(self, into: Tensor, source: Tensor, after: Mark) -> Mark:
        """Copy beside the device's other work, behind a mark; return the mark behind the copy."""

    @abstractmethod
    def wait(self, mark: Mark) -> None:
        """Let the work that is issued next begin behind a mark."""

    @abstractmethod
    def finish(self, mark: Mark) -> None:
        """Wait here until a mark is reached."""


@final
class CudaLane(Lane):
    """Copies from pinned memory on a stream of their own, while the device computes."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @override
    def on_host(self, nbytes: int) -> UInt8[Tensor, " bytes"]:
        with torch.inference_mode(mode=False):
            return torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)

    @override
    def mark(self) -> Mark:
        return self._recorded(torch.cuda.current_stream(self.device))

    @override
    def send(self, into: Tensor, source: Tensor, after: Mark) -> Mark:
        if after is not None:
            self._stream.wait_event(after)
        with torch.cuda.stream(self._stream):
            into.copy_(source, non_blocking=True)
        return self._recorded(self._stream)

    @override
    def wait(self, mark: Mark) -> None:
        if mark is not None:
            torch.cuda.current_stream(self.device).wait_event(mark)

    @override
    def finish(self, mark: Mark) -> None:
        if mark is not None:
            mark.synchronize()

    def _recorded(self, stream: torch.cuda.Stream) -> torch.cuda.Event:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(stream)
        return event


@final
class PlainLane(Lane):
    """Copies at once: for devices without streams, and for the CPU in a device's place."""

    @override
    def on_host(self, nbytes: int) -> UInt8[Tensor, " bytes"]:
        with torch.inference_mode(mode=False):
            return torch.empty(nbytes, dtype=torch.uint8)

    @override
    def mark(self) -> Mark:
        return None

    @override
    def send(self, into: Tensor, source: Tensor, after: Mark) -> Mark:
        into.copy_(source)
        return None

    @override
    def wait(self, mark: Mark) -> None:
        """There is nothing to wait for."""

    @override
    def finish(self, mark: Mark) -> None:
        """There is nothing to wait for."""
