"""Buffers on a device through which parts pass, each part when it computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import RLock
from typing import final

from jaxtyping import UInt8
from torch import Tensor

from gpt2sdk_accelerate.lane import Lane, Mark
from gpt2sdk_accelerate.ledger import SLOTS

# A part's weights in the CPU's memory, or what reads them into a buffer there.
Source = UInt8[Tensor, " bytes"] | Callable[[UInt8[Tensor, " bytes"]], None]


@dataclass(slots=True, eq=False)
class Slot:
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
class Slots:
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
        self._slots: list[Slot] = []
        self._entered: Slot | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._clock = 0

    @property
    def owners(self) -> set[str]:
        """Whose weights are there, or on their way."""
        return {slot.owner for slot in self._slots} - {""}

    def reserve(self, nbytes: int) -> None:
        """Make sure that a part of this size fits into each buffer."""
        if nbytes > self._nbytes:
            self._settle()
            self._slots = []
            self._nbytes = nbytes
            self._slots = [
                Slot(self.lane.on_device(nbytes), self.lane.mark(), self.lane.mark())
                for _ in range(SLOTS)
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
            slot = self._find(name)
            if slot is None:
                slot = self._oldest()
                self._fill(slot, name, source, nbytes)
            self.lane.wait(self._sent(slot))
        except BaseException:
            self.lock.release()
            raise
        self._entered = slot
        return slot.memory

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
            self._settle()
            self._slots, self._nbytes = [], 0
            if self._reader is not None:
                self._reader.shutdown()
                self._reader = None

    def _find(self, name: str) -> Slot | None:
        return next((slot for slot in self._slots if slot.owner == name), None)

    def _oldest(self) -> Slot:
        """Return the buffer that was filled longest ago, other than the one in use."""
        others = [slot for slot in self._slots if slot is not self._entered]
        return min(others, key=lambda slot: slot.used)

    def _fill(self, slot: Slot, name: str, source: Source, nbytes: int) -> None:
        """Start to bring a part into a buffer."""
        sent = self._sent(slot)
        self._clock += 1
        slot.used, slot.owner = self._clock, ""
        if isinstance(source, Tensor):
            slot.sent = self.lane.send(slot.memory[:nbytes], source, slot.free)
        else:
            slot.sent = self._worker().submit(self._stage, slot, source, nbytes, sent)
        slot.owner = name

    def _stage(self, slot: Slot, read: Callable[[Tensor], None], nbytes: int, sent: Mark) -> Mark:
        """Read a part into the CPU's buffer, once that was sent, and send it."""
        if slot.staging is None:
            slot.staging = self.lane.on_host(self._nbytes)
        self.lane.finish(sent)
        read(slot.staging[:nbytes])
        return self.lane.send(slot.memory[:nbytes], slot.staging[:nbytes], slot.free)

    def _worker(self) -> ThreadPoolExecutor:
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="gpt2sdk-offload")
        return self._reader

    def _sent(self, slot: Slot) -> Mark:
        """Return the mark behind the copy into a buffer, when it was issued."""
        if isinstance(slot.sent, Future):
            try:
                slot.sent = slot.sent.result()
            except BaseException:
                slot.owner, slot.sent = "", self.lane.mark()
                raise
        return slot.sent

    def _settle(self) -> None:
        """Wait for everything that is under way."""
        for slot in self._slots:
            self.lane.finish(self._sent(slot))
            self.lane.finish(slot.free)
