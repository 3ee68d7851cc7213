"""Where output goes: results to standard output, remarks and errors to standard error."""

import json
import os
import re
import sys
from pathlib import Path

import typer

_NUMBERS = re.compile(r"\[\n\s+[-+.\w]+(?:,\n\s+[-+.\w]+)*\n\s+\]")
# A model may write any character; those that move the cursor are not sent to a terminal.
_CONTROLS = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in [*range(0x20), *range(0x7F, 0xA0)]
    if chr(code) not in "\n\t"
}


def secure_streams() -> None:
    """Make printing safe, whatever the process was started with.

    What an output's encoding lacks becomes a question mark, where Python would fail. A stream
    that was closed (`gpt2sdk … 2>&-`), which Python has no object for, is empty.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open till the end
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def wants_colours() -> bool:
    """Whether terminals may be sent colours; `NO_COLOR` says no, see https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_watched() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def write(text: str) -> None:
    """Print generated text as it is, at once; without control characters on a terminal."""
    sys.stdout.write(text.translate(_CONTROLS) if is_watched() else text)
    sys.stdout.flush()


def write_aside(text: str) -> None:
    """Print text that stands beside a result."""
    sys.stdout.write(_dim(text.translate(_CONTROLS), watched=is_watched()))


def show_json(value: object) -> None:
    """Print a value as JSON, lists of numbers on one line."""
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    sys.stdout.write(_NUMBERS.sub(lambda match: _on_one_line(match.group()), text) + "\n")


def remark(text: str) -> None:
    """Print a line for people, not a result."""
    sys.stdout.flush()
    shown = _dim(text.translate(_CONTROLS), watched=sys.stderr.isatty())
    sys.stderr.write(f"{shown}\n")


def warn(text: str) -> None:
    """Print a warning, in one line."""
    _label("warning:", typer.colors.YELLOW, text)


def fail(text: str) -> None:
    """Print an error, in one line."""
    _label("error:", typer.colors.RED, text)


def one_line(text: str) -> str:
    r"""Join the lines of a message.

    >>> one_line("no such file\nlooked in:\n  a\n  b\n")
    'no such file; looked in: a; b'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"([.:,;]);", r"\1", "; ".join(lines))


def _label(label: str, colour: str, text: str) -> None:
    sys.stdout.flush()
    if sys.stderr.isatty() and wants_colours():
        label = typer.style(label, fg=colour, bold=True)
    sys.stderr.write(f"{label} {one_line(text).translate(_CONTROLS)}\n")


def _dim(text: str, *, watched: bool) -> str:
    return typer.style(text, dim=True) if watched and wants_colours() else text


def _on_one_line(numbers: str) -> str:
    r"""Join the lines of a list.

    >>> _on_one_line("[\n  1,\n  2\n]")
    '[1, 2]'
    """
    return f"[{', '.join(numbers[1:-1].replace(',', ' ').split())}]"
