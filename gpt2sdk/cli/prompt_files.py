"""Where prompts come from: an argument, a file or standard input."""

import re
import sys
from pathlib import Path

from gpt2sdk.errors import OptionError

STANDARD_INPUT = "-"
# Python's `splitlines` knows eight more, such as the form feed, which texts hold within a line.
_LINE_END = re.compile(r"\r?\n")


def read_prompts(prompt: str | None, file: Path | None, *, lines: bool) -> list[str]:
    r"""Return the prompts of a call.

    One line break at the end of a file or of standard input does not belong to the prompt, as
    in a shell's `$(…)`.

    Args:
        prompt: The argument; `-` means standard input, which is also read where nothing else is
            given and no one types there.
        file: What `--file` says.
        lines: Whether each line that is not empty is a prompt; `\n` and `\r\n` end one, and nothing
            else does.

    Raises:
        OptionError: There is none, there are two sources, or what was read is not UTF-8.
    """
    if prompt is not None and file is not None:
        raise OptionError(
            "a prompt was given as an argument and with --file: give one", name="prompt"
        )
    source = str(file) if file is not None else prompt
    if source is None and not sys.stdin.isatty():
        source = STANDARD_INPUT
    if source is None:
        raise OptionError(
            "there is no prompt: give it as an argument, with --file, or on standard input",
            name="prompt",
        )
    text = source if file is None and source != STANDARD_INPUT else read_text(source)
    return [line for line in _LINE_END.split(text) if line.strip()] if lines else [text]


def read_text(source: str) -> str:
    """Read a file or standard input as UTF-8, with a byte order mark or without.

    One line break at the end does not belong to the text.

    Raises:
        OptionError: It is not UTF-8.
    """
    if source == STANDARD_INPUT:
        name, content = "standard input", sys.stdin.buffer.read()
    else:
        name, content = source, Path(source).read_bytes()
    try:
        return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise OptionError(
            f"{name} is not UTF-8 text: byte {content[error.start]:#04x} at {error.start}",
            name="prompt",
        ) from None
