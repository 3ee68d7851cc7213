"""The output: results in the order of the lines, whole or not at all."""

import gzip
import io
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from gpt2sdk_batch.missing import needed
from gpt2sdk_batch.sources import suffix_of

_ROWS: Final = 1024
_NESTED: Final = ("options", "top_logprobs", "parsed")
"""What differs from line to line in its form: in tables it is JSON."""


def write_results(path: Path, results: Iterator[bytes], *, numbered: bool) -> None:
    """Write results to a file, which takes the place of another of that name at the end.

    Args:
        path: The file; its end says the format.
        results: Each as JSON.
        numbered: Whether all ids are whole numbers, so that a table's column is.

    Raises:
        OSError: The disk is full or broken; the file is as it was.
    """
    suffix = suffix_of(path, "target")
    if suffix == ".parquet":
        written = _parquet(results, numbered=numbered)
    else:
        written = _gzipped(results) if suffix.endswith(".gz") else _lines(results)
    replace_file(path, written)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write an object to a file, which takes the place of another of that name."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    replace_file(path, lambda file: _only(file.write(text.encode())))


def replace_file(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file beside another, and put it in its place once it is on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """See to it that names in a folder outlive the machine, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_results(path: Path) -> Generator[bytes, None, None]:
    """Yield the lines of an output in JSON."""
    opened: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        for line in file:
            yield line[:-1]


def _only(_: int) -> None:
    return None


def _lines(results: Iterator[bytes]) -> Callable[[IO[bytes]], None]:
    return lambda file: file.writelines(each + b"\n" for each in results)


def _gzipped(results: Iterator[bytes]) -> Callable[[IO[bytes]], None]:
    def write(file: IO[bytes]) -> None:
        # Neither a name nor a time, so that the same results are the same bytes.
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed, io.BufferedWriter(packed) as out:
            out.writelines(each + b"\n" for each in results)

    return write


def _parquet(results: Iterator[bytes], *, numbered: bool) -> Callable[[IO[bytes]], None]:
    arrow = needed("pyarrow", "a .parquet file")
    parquet = needed("pyarrow.parquet", "a .parquet file")
    schema = table_schema(arrow, numbered=numbered)

    def write(file: IO[bytes]) -> None:
        with parquet.ParquetWriter(file, schema) as table:
            while some := [table_row(json.loads(each)) for each in islice(results, _ROWS)]:
                table.write_table(arrow.Table.from_pylist(some, schema=schema))

    return write


def table_row(result: Mapping[str, object]) -> dict[str, object]:
    r"""Return a result as a row of a table: what has a form of its own on each line, as JSON.

    Half a character, which a table cannot have, becomes what it is written as in JSON.

    >>> table_row({"id": 1, "options": {"seed": 5}})["options"]
    '{"seed": 5}'
    >>> table_row({"error": {"message": "there is no option \ud83d"}})["error"]["message"]
    'there is no option \\ud83d'
    """
    row = {
        name: _storable(json.dumps(value, ensure_ascii=False) if name in _NESTED else value)
        for name, value in result.items()
    }
    completions = row.get("completions")
    if isinstance(completions, list):
        row["completions"] = [table_row(each) for each in completions]
    return row


def _storable(value: object) -> object:
    """Return a value whose texts can be written in UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {name: _storable(each) for name, each in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [_storable(each) for each in value]
    return value


def table_schema(arrow: Any, *, numbered: bool) -> Any:  # noqa: ANN401 - pyarrow is optional
    """Return the columns of a table of results, all of them, whether used or not."""
    texts, numbers = arrow.list_(arrow.string()), arrow.list_(arrow.float64())
    completion = arrow.struct(
        {
            "text": arrow.string(),
            "tokens": arrow.list_(arrow.int32()),
            "finish_reason": arrow.string(),
            "score": arrow.float64(),
            "logprobs": numbers,
            "processed_logprobs": numbers,
            "support": arrow.list_(arrow.int32()),
            "top_logprobs": arrow.string(),
            "parsed": arrow.string(),
        }
    )
    choice = arrow.struct(
        {
            "best": arrow.string(),
            "index": arrow.int32(),
            "choices": texts,
            "probabilities": numbers,
            "logprobs": numbers,
            "tokens": arrow.list_(arrow.int32()),
            "normalization": arrow.string(),
        }
    )
    return arrow.schema(
        {
            "id": arrow.int64() if numbered else arrow.string(),
            "index": arrow.int64(),
            "text": arrow.string(),
            "completions": arrow.list_(completion),
            "choice": choice,
            "usage": arrow.struct({"prompt_tokens": arrow.int64(), "new_tokens": arrow.int64()}),
            "options": arrow.string(),
            "error": arrow.struct({"type": arrow.string(), "message": arrow.string()}),
            "run": arrow.string(),
        }
    )
