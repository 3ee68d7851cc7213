"""Replacing a folder as a whole: readers see the old one or the new one, never a mixture."""

import ctypes
import glob
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpt2sdk.errors import CheckpointError

if sys.platform != "win32":
    import fcntl

# Linux's numbers (fcntl.h, stdio.h): paths as they are, and an exchange of both.
_HERE, _RENAME_EXCHANGE = -100, 2
# A folder this old is not about to be locked.
_SECONDS_TO_LOCK = 60


@contextmanager
def replaced_folder(folder: str | Path, owned: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends well.

    What is written is on the disk before the exchange. If anything fails, the old folder is as it
    was and nothing is left beside it. The exchange is one step on Linux, where the file system can
    exchange names. Elsewhere it is two renames: a crash between them leaves both folders whole
    under hidden names.

    A process that is killed leaves hidden folders, `.folder.*.new` with what it had written, or
    `.folder.*.old`. The next one that replaces the same folder removes them, or gives the old one
    its name back if there is no other, where the system has file locks: each writer holds one on
    its folders for as long as it lives.

    Args:
        folder: The folder to make or to replace; parents are made.
        owned: Whether a top-level file or folder of the old folder is replaced, by its name; that
            of a folder ends in a slash. All others are kept.

    Raises:
        CheckpointError: If writing fails or `folder` cannot be replaced.
    """
    target = Path(os.path.realpath(folder))
    token = secrets.token_hex(4)
    lock: int | None = None
    new, old = (target.with_name(f".{target.name}.{token}.{kind}") for kind in ("new", "old"))
    try:
        if target.exists() and not target.is_dir():
            raise CheckpointError(f"{folder}: expected a folder, found a file", path=folder)
        if target in (here := Path.cwd(), *here.parents):
            # It is exchanged as a whole: whoever stands in it would stand nowhere.
            message = (
                f"{folder}: is the current folder or holds it: expected one to make or replace"
            )
            raise CheckpointError(message, path=folder)
        _remove_abandoned(target)
        lock = _make_locked(new)
        yield new
        _flush(new)
        _keep_others(target, new, owned)
        _sync(new)
        _exchange(target, new, old)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written, and is as it was: {error.strerror or error}", path=folder
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        _unlock(lock)
        # Still there only once it has been replaced.
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def _make_locked(new: Path) -> int | None:
    """Make a folder, and hold a lock on it before it has the name that others look for."""
    making = new.with_suffix(".making")
    making.mkdir(parents=True)
    lock = _lock(making)
    try:
        making.rename(new)
    except OSError:
        _unlock(lock)
        making.rmdir()
        raise
    return lock


def _lock(folder: Path) -> int | None:
    """Lock a folder until the handle is closed or the process ends; `None` if that cannot be."""
    if sys.platform == "win32":
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _remove_abandoned(target: Path) -> None:
    """Remove what killed processes left of this folder: what nobody holds a lock on."""
    for kind in ("old", "new", "making"):
        for left in sorted(target.parent.glob(f".{glob.escape(target.name)}.*.{kind}")):
            # Another process may be doing the same.
            with suppress(FileNotFoundError):
                _remove_unlocked(left, target)


def _remove_unlocked(left: Path, target: Path) -> None:
    if left.suffix == ".making" and time.time() - left.stat().st_mtime < _SECONDS_TO_LOCK:
        return
    if (lock := _lock(left)) is None:
        return
    try:
        if left.suffix == ".old" and not target.exists():
            left.rename(target)
        else:
            shutil.rmtree(left, ignore_errors=True)
    finally:
        _unlock(lock)


def _keep_others(target: Path, new: Path, owned: Callable[[str], bool]) -> None:
    if not target.is_dir():
        return
    for entry in target.iterdir():
        is_folder = entry.is_dir() and not entry.is_symlink()
        if owned(f"{entry.name}/" if is_folder else entry.name) or (new / entry.name).exists():
            continue
        if is_folder:
            shutil.copytree(entry, new / entry.name, symlinks=True, copy_function=_link)
        else:
            _link(str(entry), str(new / entry.name))


def _link(source: str, destination: str) -> None:
    """Give a file a second name: nothing is copied where the file system knows links."""
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, destination, follow_symlinks=False)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)


def _sync(path: Path) -> None:
    # Windows cannot open folders; there a rename is durable when it returns.
    if sys.platform == "win32" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(target: Path, new: Path, old: Path) -> None:
    """Give a folder the target's name; what had it before goes by one of the other names."""
    if target.exists() and _swapped(target, new):
        _sync(target.parent)
        return
    # Whoever finds the old folder without its name knows that this process will see to it.
    lock = _lock(target) if target.exists() else None
    try:
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        _sync(target.parent)
    finally:
        _unlock(lock)


def _swapped(one: Path, other: Path) -> bool:
    """Exchange two names in one step, where the system can; say whether it did."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(rename(_HERE, names[0], _HERE, names[1], _RENAME_EXCHANGE) == 0)
