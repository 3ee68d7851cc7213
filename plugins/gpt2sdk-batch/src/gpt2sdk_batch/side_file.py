"""What stands beside an output: its journal while it is made, and how it was made."""

import json
from pathlib import Path
from typing import Any

from gpt2sdk import OptionError


def journal_of(target: Path) -> Path:
    """Return where the journal of an output is.

    >>> journal_of(Path("out.jsonl")).name
    'out.jsonl.journal'
    """
    return target.with_name(f"{target.name}.journal")


def side_file_of(target: Path) -> Path:
    """Return where it is said how an output was made.

    >>> side_file_of(Path("out.jsonl")).name
    'out.jsonl.run.json'
    """
    return target.with_name(f"{target.name}.run.json")


def read_side_file(target: Path) -> dict[str, Any] | None:
    """Return what is said of an output; `None` where nothing is.

    Raises:
        OptionError: It is something else.
    """
    path = side_file_of(target)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OptionError(f"{path} is damaged: {error}", name="target", value=str(path)) from None
    wanted = {"gpt2sdk_batch", "input", "shard", "lines", "errors", "runs"}
    if not isinstance(found, dict) or not wanted <= found.keys():
        message = f"{path} does not say how an output was made: expected what a batch wrote"
        raise OptionError(message, name="target", value=str(path))
    return found
