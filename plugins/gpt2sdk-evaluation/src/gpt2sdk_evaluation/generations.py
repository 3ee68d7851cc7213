"""Files of generations: lines, JSONL, or what `gpt2sdk generate --json` wrote."""

import json
import sys
from pathlib import Path

from gpt2sdk import OptionError

STANDARD_INPUT = "-"


def read_generations(path: str | Path, *, key: str = "text") -> list[str]:
    """Read texts.

    Of a `.jsonl` file, each line is a text or an object that has one. A `.json` file is an object
    with `completions`, as `gpt2sdk generate --json` prints it, or a list. Any other file, and
    standard input, has a text on each line; an empty line is an empty text.

    Args:
        path: A file, or `-` for standard input.
        key: Where an object has its text.

    Raises:
        OptionError: The file is not UTF-8 or not such JSON, or holds no text.
        OSError: It cannot be read.
    """
    name = "standard input" if str(path) == STANDARD_INPUT else str(path)
    content = _read(path, name)
    suffix = Path(path).suffix
    if suffix == ".jsonl":
        lines = enumerate(content.split("\n"), start=1)
        texts = [
            _text(_parsed(line, f"{name}: line {at}"), key, f"{name}: line {at}")
            for at, line in lines
            if line.strip()
        ]
    elif suffix == ".json":
        value = _parsed(content, name)
        listed = value.get("completions") if isinstance(value, dict) else value
        if not isinstance(listed, list):
            raise OptionError(f"{name}: expected a list, or an object with completions")
        texts = [_text(each, key, f"{name}: entry {at}") for at, each in enumerate(listed)]
    else:
        texts = content.removesuffix("\n").split("\n") if content else []
    if not any(text.strip() for text in texts):
        raise OptionError(f"{name}: expected texts, found none", name="file")
    return texts


def _read(path: str | Path, name: str) -> str:
    standard = str(path) == STANDARD_INPUT
    content = sys.stdin.buffer.read() if standard else Path(path).read_bytes()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise OptionError(
            f"{name} is not UTF-8 text: byte {content[error.start]:#04x} at {error.start}",
            name="file",
        ) from None


def _parsed(text: str, where: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise OptionError(f"{where}: expected JSON: {error}", name="file") from None
    return value


def _text(value: object, key: str, where: str) -> str:
    text = value.get(key) if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise OptionError(
            f"{where}: expected a text, or an object with a text under {key!r}", name="key"
        )
    return text
