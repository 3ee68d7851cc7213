"""The first look at a batch: how many lines it has, and whether each has an id of its own."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gpt2sdk import OptionError
from gpt2sdk_batch.seeds import id_bytes
from gpt2sdk_batch.sources import LineSource
from gpt2sdk_batch.table_ids import TableIds
from gpt2sdk_batch.tasks import LineTask, read_task

_DIGEST = 16
_BUCKETS = 256


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a batch before any work.

    Attributes:
        lines: How many lines it has.
        digest: What stands for its content.
        ids: What is known of their ids.
    """

    lines: int
    digest: str
    ids: TableIds


def survey(source: LineSource, ignored: Collection[str] = ()) -> Survey:
    """Read all lines once, and refuse what would go wrong with the batch as a whole.

    Of each id 16 bytes are kept: 16 MB for a million lines. Two different ids are taken for one
    with a probability below 10^-26 then.

    Args:
        source: The lines.
        ignored: Fields that are passed over.

    Raises:
        OptionError: There is no line, one is not as it should be, or two have one id.
    """
    buckets = [bytearray() for _ in range(_BUCKETS)]
    lines = 0
    ids = TableIds()
    for task in read_tasks(source, ignored):
        digest = _digest(task)
        buckets[digest[0]] += digest
        lines += 1
        ids.see(task.id)
    if not lines:
        message = f"{source.name} has no line: expected one or more"
        raise OptionError(message, name="source", value=source.name)
    for bucket in buckets:
        if twice := _twice(bucket):
            raise _repeated(source, ignored, twice)
    return Survey(lines, source.digest(), ids)


def read_tasks(source: LineSource, ignored: Collection[str] = ()) -> Iterator[LineTask]:
    """Yield the lines of a batch.

    Raises:
        OptionError: One is not as it should be.
    """
    for index, record in enumerate(source.read()):
        yield read_task(index, record, ignored)


def _digest(task: LineTask) -> bytes:
    return hashlib.blake2b(id_bytes(task.id), digest_size=_DIGEST).digest()


def _twice(bucket: bytearray) -> bytes | None:
    """Return a digest that is there twice."""
    seen = set()
    for at in range(0, len(bucket), _DIGEST):
        digest = bytes(bucket[at : at + _DIGEST])
        if digest in seen:
            return digest
        seen.add(digest)
    return None


def _repeated(source: LineSource, ignored: Collection[str], digest: bytes) -> OptionError:
    """Say which two lines have one id."""
    alike = [task for task in read_tasks(source, ignored) if _digest(task) == digest][:2]
    places = " and ".join(str(task.index + 1) for task in alike)
    name = alike[0].id
    own = any(task.index == name for task in alike)
    hint = "a line without one has its number from 0: " if own else ""
    message = f"{source.name}: lines {places} have the id {name!r:.60}; {hint}give each its own"
    return OptionError(message, name="id", value=name)
