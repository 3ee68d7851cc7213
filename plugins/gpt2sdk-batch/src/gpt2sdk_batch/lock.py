"""A lock on a file, so that two runs never write one output; it goes with its process."""

import os
import sys
from pathlib import Path

from gpt2sdk import OptionError

_MESSAGE = "another run is at work on it: wait for its end, or give another output"


def hold(descriptor: int, path: Path) -> None:
    """Lock an open file for as long as it is open, whatever becomes of the process.

    On network file systems that keep no locks (NFS before version 4, some of Lustre) two machines
    may both get it.

    Args:
        descriptor: The open file.
        path: What it is called, for the message.

    Raises:
        OptionError: Somebody else holds it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - there alone

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - there alone

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise OptionError(f"{path}: {_MESSAGE}", name="target", value=str(path)) from None
