"""Buffers on a device through which parts pass, each part when it computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import RLock
from typing import final

from jaxtyping import UInt8
from torch import Tensor

from gpt2sdk_accelerate.lane import Lane, Mark
from gpt2sdk_accelerate.ledger import BUFFERS

# A part's weights in the CPU's memory, or what reads them into a buffer there.
Source = UInt8[Tensor, " bytes"] | Callable[[UInt8[Tensor, " bytes"]], None]


@dataclass(slots=True, eq=False)
class TransitBuffer:
    """A buffer.

    Attributes:
        memory: Its bytes on the device.
        free: The mark behind the work that last used them.
        sent: The mark behind the copy that last filled them, or who will have it.
        owner: Who is in it; empty for nobody.
        staging: The CPU's buffer through which a part from the disk comes.
        used: When it was last asked for.
    """

    memory: UInt8[Tensor, " bytes"]
    free: Mark
    sent: Mark | Future[Mark]
    owner: str = ""
    staging: UInt8[Tensor, " bytes"] | None = None
    used: int = 0


@final
class Transit:
    """Two buffers on a device: a part computes in one while the next part arrives in the other.

    A thread that computes holds the lock, so several threads take turns, part by part.

    Attributes:
        lane: How bytes get to the device.
        lock: Held from `enter` to `leave`.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.lock = RLock()
        self._nbytes = 0
        self._buffers: list[TransitBuffer] = []
        self._entered: TransitBuffer | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._clock = 0

    @property
    def owners(self) -> set[str]:
        """Whose weights are there, or on their way."""
        return {buffer.owner for buffer in self._buffers} - {""}

    def reserve(self, nbytes: int) -> None:
        """Make sure that a part of this size fits into each buffer."""
        if nbytes > self._nbytes:
            self._finish_all()
            self._buffers = []
            self._nbytes = nbytes
            self._buffers = [
                TransitBuffer(self.lane.on_device(nbytes), self.lane.mark(), self.lane.mark())
                for _ in range(BUFFERS)
            ]

    def prefetch(self, name: str, source: Source, nbytes: int) -> None:
        """Start to fill a buffer, if one is free and no other thread computes."""
        if self.lock.acquire(blocking=False):
            try:
                if self._find(name) is None:
                    self._fill(self._oldest(), name, source, nbytes)
            finally:
                self.lock.release()

    def enter(self, name: str, source: Source, nbytes: int) -> UInt8[Tensor, " bytes"]:
        """Return the buffer that holds a part for the work issued next."""
        self.lock.acquire()
        try:
            buffer = self._find(name)
            if buffer is None:
                buffer = self._oldest()
                self._fill(buffer, name, source, nbytes)
            self.lane.wait(self._sent(buffer))
        except BaseException:
            self.lock.release()
            raise
        self._entered = buffer
        return buffer.memory

    def leave(self) -> None:
        """Give the buffer free behind the work that was issued since."""
        try:
            if self._entered is not None:
                self._entered.free = self.lane.mark()
        finally:
            self._entered = None
            self.lock.release()

    def close(self) -> None:
        """Give the buffers back."""
        with self.lock:
            self._finish_all()
            self._buffers, self._nbytes = [], 0
            if self._reader is not None:
                self._reader.shutdown()
                self._reader = None

    def _find(self, name: str) -> TransitBuffer | None:
        return next((buffer for buffer in self._buffers if buffer.owner == name), None)

    def _oldest(self) -> TransitBuffer:
        """Return the buffer that was filled longest ago, other than the one in use."""
        others = [buffer for buffer in self._buffers if buffer is not self._entered]
        return min(others, key=lambda buffer: buffer.used)

    def _fill(self, buffer: TransitBuffer, name: str, source: Source, nbytes: int) -> None:
        """Start to bring a part into a buffer."""
        sent = self._sent(buffer)
        self._clock += 1
        buffer.used, buffer.owner = self._clock, ""
        if isinstance(source, Tensor):
            buffer.sent = self.lane.send(buffer.memory[:nbytes], source, buffer.free)
        else:
            buffer.sent = self._worker().submit(self._stage, buffer, source, nbytes, sent)
        buffer.owner = name

    def _stage(
        self, buffer: TransitBuffer, read: Callable[[Tensor], None], nbytes: int, sent: Mark
    ) -> Mark:
        """Read a part into the CPU's buffer, once that was sent, and send it."""
        if buffer.staging is None:
            buffer.staging = self.lane.on_host(self._nbytes)
        self.lane.finish(sent)
        read(buffer.staging[:nbytes])
        return self.lane.send(buffer.memory[:nbytes], buffer.staging[:nbytes], buffer.free)

    def _worker(self) -> ThreadPoolExecutor:
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="gpt2sdk-offload")
        return self._reader

    def _sent(self, buffer: TransitBuffer) -> Mark:
        """Return the mark behind the copy into a buffer, when it was issued."""
        if isinstance(buffer.sent, Future):
            try:
                buffer.sent = buffer.sent.result()
            except BaseException:
                buffer.owner, buffer.sent = "", self.lane.mark()
                raise
        return buffer.sent

    def _finish_all(self) -> None:
        """Wait for everything that is under way."""
        for buffer in self._buffers:
            self.lane.finish(self._sent(buffer))
            self.lane.finish(buffer.free)
