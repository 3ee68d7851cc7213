"""Outputs of shards, put together as if there had been one run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from gpt2sdk import OptionError
from gpt2sdk_batch.missing import needed
from gpt2sdk_batch.outputs import read_results, write_json, write_results
from gpt2sdk_batch.run_settings import disagreements
from gpt2sdk_batch.side_file import journal_of, read_side_file, side_file_of
from gpt2sdk_batch.sources import suffix_of
from gpt2sdk_batch.table_ids import TableIds


def merge(target: str | Path, shards: Sequence[str | Path], *, overwrite: bool = False) -> int:
    """Make one output of those of all shards, in the order of the lines; return how many there are.

    Its bytes are those of a run without shards.

    Args:
        target: The output.
        shards: The outputs of shards, in any order; .jsonl or .jsonl.gz.
        overwrite: Whether another file may be there.

    Raises:
        OptionError: A shard is missing, not finished, there twice, or of another run; a line is
            not where it should be, or a table cannot have its id.
    """
    path = Path(target)
    suffix_of(path, "target")
    files = [Path(each) for each in shards]
    _check_files(path, files, overwrite=overwrite)
    sides = [_side(file) for file in files]
    ordered = _ordered(files, sides)
    first = sides[0]
    _check_alike(files, sides)
    lines = first["input"]["lines"]
    runs = {name: facts for side in sides for name, facts in side["runs"].items()}
    side = {
        **first,
        "shard": [0, 1],
        "lines": lines,
        "errors": sum(each["errors"] for each in sides),
        "runs": dict(sorted(runs.items())),
    }
    ids = TableIds()
    # Of what type ids are is known once all lines were read, so tables are made in a second go.
    if path.name.lower().endswith(".parquet"):
        needed("pyarrow.parquet", str(path))
        for _ in _interleaved(ordered, lines, ids):
            pass
        ids.check()
    write_results(path, _interleaved(ordered, lines, ids), numbered=not ids.texts)
    write_json(side_file_of(path), side)
    return int(lines)


def _check_files(path: Path, files: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse what cannot be read or written.

    Raises:
        OptionError: A file is missing or of another format, or the output is there.
    """
    if not files:
        raise OptionError("there is no shard: expected the outputs of all of them", name="shards")
    if path.exists() and not overwrite:
        message = f"{path} is there already: give another output, or overwrite=True (--overwrite)"
        raise OptionError(message, name="target", value=str(path))
    for file in files:
        if suffix_of(file, "shards") == ".parquet":
            message = (
                f"{file}: shards are merged as .jsonl or .jsonl.gz, the output may be .parquet"
            )
            raise OptionError(message, name="shards", value=str(file))
        if journal_of(file).exists():
            # What is there may be of the run before, which this one is to take the place of.
            message = f"{file} is not finished, {journal_of(file).name} is beside it"
            raise OptionError(f"{message}: run it to its end", name="shards", value=str(file))
        if not file.is_file():
            raise OptionError(f"{file}: there is no such file", name="shards", value=str(file))


def _side(file: Path) -> dict[str, Any]:
    side = read_side_file(file)
    if side is None:
        message = f"{file} has no {side_file_of(file).name} beside it, which says what it is of"
        raise OptionError(message, name="shards", value=str(file))
    return side


def _ordered(files: Sequence[Path], sides: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Return the files in the order of their shards.

    Raises:
        OptionError: One is missing, or there twice.
    """
    count = sides[0]["shard"][1]
    places: dict[int, Path] = {}
    for file, side in zip(files, sides, strict=True):
        number, of = side["shard"]
        if of != count:
            message = f"{file} is shard {number}/{of}, and {files[0]} is one of {count}"
            raise OptionError(f"{message}: expected the shards of one run", name="shards")
        if number in places:
            message = f"{places[number]} and {file} are both shard {number}/{count}"
            raise OptionError(f"{message}: give each once", name="shards")
        places[number] = file
    if lacking := [f"{number}/{count}" for number in range(count) if number not in places]:
        names = ", ".join(lacking[:9])
        raise OptionError(f"shard {names} is missing: expected all {count}", name="shards")
    return [places[number] for number in range(count)]


def _check_alike(files: Sequence[Path], sides: Sequence[Mapping[str, Any]]) -> None:
    """Make sure that shards are of one run.

    Raises:
        OptionError: They are of different inputs, options or models.
    """
    facts = [next(iter(side["runs"].values())) for side in sides]
    for file, side, own in zip(files, sides, facts, strict=True):
        changes = disagreements(facts[0], own)
        if side["input"]["digest"] != sides[0]["input"]["digest"]:
            changes.insert(0, "the input is another one")
        if changes:
            message = f"{files[0]} and {file} are of different runs: {'; '.join(changes)}"
            raise OptionError(message, name="shards", value=str(file))


def _interleaved(files: Sequence[Path], lines: int, ids: TableIds) -> Iterator[bytes]:
    """Yield results in the order of the lines.

    Raises:
        OptionError: One is missing, or another one is in its place.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(read_results(file))) for file in files]
        for index in range(lines):
            file = files[index % len(files)]
            text = next(readers[index % len(files)], None)
            found = {} if text is None else json.loads(text)
            if text is None or found.get("index") != index:
                got = "ends" if text is None else f"has line {found.get('index')}"
                message = f"{file} {got} where line {index} is expected: it was changed or cut off"
                raise OptionError(message, name="shards", value=str(file))
            ids.see(found["id"])
            yield text
        for file, reader in zip(files, readers, strict=True):
            if next(reader, None) is not None:
                message = f"{file} has more lines than its run: it was changed"
                raise OptionError(message, name="shards", value=str(file))
