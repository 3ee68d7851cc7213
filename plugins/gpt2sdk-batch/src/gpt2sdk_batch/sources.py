"""Where lines come from: files by their ends, tables by their types."""

import gzip
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gpt2sdk import OptionError
from gpt2sdk_batch.missing import needed

_ROWS: Final = 1024
SUFFIXES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".parquet")
"""Files that are read and written."""


@dataclass(frozen=True, slots=True)
class LineSource:
    """Lines that can be read several times, from the first to the last.

    Attributes:
        name: What messages call it.
        read: Starts reading: an iterator over dictionaries.
        digest: Returns what stands for its content.
        stamp: Returns what changes when somebody writes to it.
    """

    name: str
    read: Callable[[], Iterator[object]]
    digest: Callable[[], str]
    stamp: Callable[[], object] = tuple


def open_source(source: object) -> LineSource:
    """Return the lines of a file or a table.

    Args:
        source: A path that ends with .jsonl, .jsonl.gz or .parquet; a pandas `DataFrame`, a
            `datasets.Dataset`, a `pyarrow.Table`, or a sequence of dictionaries.

    Raises:
        OptionError: It is none of these, or what reads it is not installed.
    """
    if isinstance(source, str | Path):
        return _of_file(Path(source))
    rows = rows_of(source)
    return LineSource(type(source).__name__, lambda: iter(rows()), lambda: _digest_of_rows(rows()))


def rows_of(table: object) -> Callable[[], Iterable[object]]:
    """Return what yields the rows of a table in memory.

    Raises:
        OptionError: It is no table.
    """
    if hasattr(table, "itertuples") and hasattr(table, "columns"):
        return lambda: _frame_rows(table)
    if hasattr(table, "to_batches"):
        return lambda: (
            plain(row) for batch in table.to_batches(_ROWS) for row in batch.to_pylist()
        )
    if isinstance(table, Sequence) and not isinstance(table, str | bytes):
        return lambda: table
    if hasattr(table, "features") and hasattr(table, "__getitem__") and hasattr(table, "__len__"):
        return lambda: map(plain, table)  # type: ignore[call-overload]
    message = f"the source is {table!r:.60}, expected a path, a table, or a list of dictionaries"
    raise OptionError(message, name="source", value=table)


def suffix_of(path: Path, name: str) -> str:
    """Return the end of a file's name that says its format.

    Raises:
        OptionError: It says none.
    """
    found = next((each for each in SUFFIXES if path.name.lower().endswith(each)), None)
    if found is None:
        message = f"{path}: expected a name that ends with {', '.join(SUFFIXES)}"
        raise OptionError(message, name=name, value=str(path))
    return found


def _of_file(path: Path) -> LineSource:
    suffix = suffix_of(path, "source")
    if not path.is_file():
        raise OptionError(f"{path}: there is no such file", name="source", value=str(path))
    if suffix == ".parquet":
        needed("pyarrow.parquet", str(path))
        return LineSource(str(path), lambda: _parquet(path), lambda: _digest(path), _stamp(path))
    return LineSource(str(path), lambda: _json_lines(path), lambda: _digest(path), _stamp(path))


def _stamp(path: Path) -> Callable[[], object]:
    def stamp() -> object:
        found = path.stat()
        return found.st_size, found.st_mtime_ns

    return stamp


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _digest_of_rows(rows: Iterable[object]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(json.dumps(plain(row), sort_keys=True, default=repr).encode() + b"\n")
    return digest.hexdigest()


def _json_lines(path: Path) -> Iterator[object]:
    """Yield what each line says; empty ones are passed over. Only a line break ends a line."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        for number, line in enumerate(file):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
            if not text.strip():
                continue
            try:
                yield json.loads(text)
            except (ValueError, RecursionError) as error:
                message = f"{path}, line {number + 1} is no JSON: {error}"
                raise OptionError(message, name="source", value=str(path)) from None


def _parquet(path: Path) -> Iterator[object]:
    file = needed("pyarrow.parquet", str(path)).ParquetFile(path)
    try:
        for batch in file.iter_batches(batch_size=_ROWS):
            yield from map(plain, batch.to_pylist())
    finally:
        file.close()


def _frame_rows(frame: Any) -> Iterator[object]:  # noqa: ANN401 - pandas is optional
    names = [str(name) for name in frame.columns]
    for row in frame.itertuples(index=False, name=None):
        yield {name: plain(value) for name, value in zip(names, row, strict=True)}


def plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON has
    """Return a value of a table as JSON has it.

    A table's rows all have the same fields, so what is missing is not there: a field of a row that
    is `None`, or no number.

    >>> plain({"a": float("nan"), "b": (1, "x"), "c": {"d": None}})
    {'b': [1, 'x'], 'c': {}}
    """
    if isinstance(value, Mapping):
        found = {str(name): plain(each) for name, each in value.items()}
        return {name: each for name, each in found.items() if each is not None}
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return plain(value.tolist())
    return None if type(value).__name__ in {"NAType", "NaTType"} else value
