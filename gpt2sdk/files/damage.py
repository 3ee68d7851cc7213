"""Why a weight file cannot be read, in one line."""

import re
from pathlib import Path

from gpt2sdk.downloads import failed_download
from gpt2sdk.errors import CheckpointError

# How torch names what it does not build from a file.
_OBJECT = re.compile(r"(?:GLOBAL|unrecognized function) (\S+)")


def unreadable(file: Path, error: Exception) -> CheckpointError:
    """Return the exception for a file whose reader raised another one."""
    try:
        reason = failed_download(file, text=False) or _reason(error)
    except OSError as problem:
        reason = str(problem.strerror)
    return CheckpointError(f"{file}: cannot be read: {reason}", path=file)


def _reason(error: Exception) -> str:
    text = str(error)
    if "TorchScript" in text:
        return "it is a TorchScript archive, which is code: save the state_dict instead"
    if "Weights only load failed" not in text:
        first_line = next(iter(text.splitlines()), type(error).__name__)
        return f"it is damaged or cut short, download it again ({first_line})"
    found = _OBJECT.search(text)
    if not found:
        return "it is damaged or no weight file, download it again"
    return (
        f"it holds objects other than tensors ({found[1]}), and code from a file is never run: "
        "where it comes from, save the state_dict alone"
    )
