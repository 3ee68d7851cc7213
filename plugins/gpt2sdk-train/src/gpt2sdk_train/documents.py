"""The text to train on: text files and JSONL, read into documents."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpt2sdk import SEPARATOR, OptionError, split_documents

_SUFFIXES = (".txt", ".jsonl")


def read_documents(*paths: str | Path, separator: str = SEPARATOR) -> list[str]:
    """Read documents from files, and from the `.txt` and `.jsonl` files of folders.

    A `.jsonl` file has one object per line, whose `text` is a document. Any other file is text, and
    one document. In both, the separator ends a document wherever it stands: on a line by itself or
    within one. Empty documents are left out, and so are line breaks around a document.

    Args:
        paths: Files and folders; of folders, files are taken in the order of their names.
        separator: What stands between documents.

    Raises:
        OptionError: If a path isn't there, can't be read, is not UTF-8, is not JSONL with texts,
            or there is no text at all.
    """
    files = [file for path in paths for file in _files(Path(path))]
    documents = [
        document
        for file in files
        for text in _texts(file)
        for document in split_documents(text, separator)
    ]
    if not documents:
        names = ", ".join(map(str, paths)) or "no file was given"
        raise _bad(names, "expected text to train on, found none")
    return documents


def check_documents(documents: object, name: str = "documents") -> None:
    """Make sure that it is several texts: one alone would be read letter by letter.

    Raises:
        OptionError: If it is one text.
    """
    if isinstance(documents, str | bytes):
        raise OptionError(
            f"{name}: expected a list of texts, got one text; put it into brackets: [text]",
            name=name,
            expected="a list of texts",
        )


def _files(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)


def _texts(file: Path) -> Iterator[str]:
    text = _read(file)
    if file.suffix == ".jsonl":
        yield from _json_texts(file, text)
    else:
        yield text


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(
            file, f"expected UTF-8, found byte 0x{error.object[error.start]:02x} at {error.start}"
        ) from error
    except OSError as error:
        raise _bad(file, f"cannot be read: {error.strerror}") from error


def _json_texts(file: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise _bad(file, f"line {number}: expected JSON: {error}") from error
        document = value.get("text") if isinstance(value, dict) else None
        if not isinstance(document, str):
            raise _bad(file, f'line {number}: expected an object like {{"text": "…"}}')
        yield document


def _bad(file: str | Path, problem: str) -> OptionError:
    return OptionError(f"{file}: {problem}", name="documents", value=str(file), expected=problem)
