"""The journal: finished lines, appended as they come, and what is left of it after any death."""

import json
import os
import time
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from gpt2sdk import OptionError
from gpt2sdk_batch.errors import DISK_TROUBLE, BatchError
from gpt2sdk_batch.lock import hold

_SYNC_SECONDS: Final = 1.0
_CHECK: Final = 9  # eight hexadecimal digits and a blank
_NOWHERE: Final = 0

Write = Callable[[int, bytes | memoryview], int]
"""What writes bytes to an open file and returns how many; as `os.write`."""


class Journal:
    r"""A file beside the output, one finished line behind the other.

    Each line begins with the CRC-32 of what follows, so a line that was torn, or that a power cut
    left as zeros, is told from a whole one: it and all behind it are dropped when the journal is
    opened. A line is handed to the operating system as soon as it is finished, so it outlives the
    process; `fsync` follows at most a second later, so it outlives the machine from then on.

    The first line is the head: what a run that goes on has to agree with. Others are results, or
    `{"ran": …}`, which says what made the results behind it.

    Attributes:
        path: Where it is.
        head: Its first line.
        ran: What made results, in order.
        done: How many results it has.
        errors: How many of them are errors.
    """

    def __init__(
        self, path: Path, count: int, *, fresh: bool = False, write: Write = os.write
    ) -> None:
        """Open it, or make it, and read what is there.

        Args:
            path: Where it is.
            count: How many lines the batch has, all shards together: their indices are below it.
            fresh: Whether to forget what is there.
            write: What writes.

        Raises:
            OptionError: Another run is at work on it, or it is none.
        """
        self.path = path
        self.head: dict[str, object] | None = None
        self.ran: list[dict[str, object]] = []
        self.done = self.errors = 0
        self._write = write
        self._places = array("Q", [_NOWHERE]) * count
        self._count = count
        self._file = _opened(path)
        self._synced = time.monotonic()
        try:
            if fresh:
                os.ftruncate(self._file, 0)
            self._end = self._read()
            os.ftruncate(self._file, self._end)
        except BaseException:
            os.close(self._file)
            raise

    def begin(self, head: Mapping[str, object]) -> None:
        """Write the head of an empty one."""
        self.head = dict(head)
        self._append([_line(_json(head))])
        self.sync()

    def note(self, ran: Mapping[str, object]) -> None:
        """Say what makes the results that follow, if it was not said."""
        if ran not in self.ran:
            self.ran.append(dict(ran))
            self._append([_line(_json({"ran": ran}))])

    def add(self, results: Sequence[tuple[int, bytes, bool]]) -> None:
        """Append results: each with its index, as JSON, and whether it is an error.

        Raises:
            BatchError: The disk is full or broken; what was appended before is kept.
        """
        news = [each for each in results if not self.has(each[0])]
        lines = [_line(text) for _, text, _ in news]
        place = self._end
        self._append(lines)
        for (index, _, wrong), line in zip(news, lines, strict=True):
            self._places[index] = place
            place += len(line)
            self.done += 1
            self.errors += wrong
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self.sync()

    def has(self, index: int) -> bool:
        """Whether a line is finished."""
        return self._places[index] != _NOWHERE

    def results(self, indices: Iterator[int]) -> Iterator[bytes]:
        """Yield results as JSON, in the order of these indices, all of which are finished."""
        with open(self._file, "rb", closefd=False) as file:
            for index in indices:
                if file.tell() != self._places[index]:
                    file.seek(self._places[index])
                yield file.readline()[_CHECK:-1]

    def sync(self) -> None:
        """See to it that what was appended outlives the machine."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._trouble(error) from error
        self._synced = time.monotonic()

    def close(self) -> None:
        """Let go of it, with the lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, lines: Sequence[bytes]) -> None:
        """Write lines at the end: all of them, or none."""
        data = memoryview(b"".join(lines))
        size = len(data)
        os.lseek(self._file, self._end, os.SEEK_SET)
        try:
            while data:
                data = data[self._write(self._file, data) :]
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise self._trouble(error) from error
        self._end += size

    def _trouble(self, error: OSError) -> BatchError | OSError:
        if error.errno not in DISK_TROUBLE:
            return error
        return BatchError(
            f"{self.path}: {error.strerror}; {self.done} lines are done and kept there: make room, "
            "and run the same again to go on",
            done=self.done,
        )

    def _read(self) -> int:
        """Read all whole lines, and return where they end."""
        end = 0
        with open(self._file, "rb", closefd=False) as file:
            for line in file:
                text = _whole(line)
                if text is None:
                    break
                self._take(text, end)
                end += len(line)
            file.seek(0)
            # A head that was torn when the machine stopped has no end.
            if end == 0 and file.readline().endswith(b"\n"):
                message = f"{self.path} is no journal of a batch, or its head is damaged: expected"
                raise OptionError(f"{message} another output", name="target", value=str(self.path))
        return end

    def _take(self, text: bytes, place: int) -> None:
        found = json.loads(text)
        if self.head is None:
            self.head = found
        elif "ran" in found:
            self.ran.append(found["ran"])
        elif found["index"] < self._count and not self.has(found["index"]):
            self._places[found["index"]] = place
            self.done += 1
            self.errors += "error" in found


def _opened(path: Path) -> int:
    """Open a file and lock it; one that its last owner removed meanwhile is made anew.

    Raises:
        OptionError: Another run is at work on it, or it is no file.
    """
    if path.exists() and not path.is_file():
        # A device may be read for ever.
        message = f"{path} is a device or a folder, and would be the journal: expected a file"
        raise OptionError(message, name="target", value=str(path))
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            hold(file, path)
            if _is_at(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _line(text: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _whole(line: bytes) -> bytes | None:
    """Return what a line says; `None` if it is not as it was written.

    >>> _whole(_line(b'{"index":3}')), _whole(_line(b'{"index":3}')[:-3]), _whole(b"")
    (b'{"index":3}', None, None)
    """
    text = line[_CHECK:-1]
    return text if line and line == _line(text) else None
