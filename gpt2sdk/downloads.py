"""What lies in a file's place where a download went wrong."""

from pathlib import Path

_LFS_POINTER = b"version https://git"
_WEB_PAGES = (b"<!doctype", b"<html", b"<?xml")
_LOOKED_AT = 200


def failed_download(path: Path, *, text: bool) -> str:
    """Say in a few words what is wrong with a file and what to do; "" if nothing can be seen.

    Args:
        path: A file that can be read.
        text: Whether text belongs into it.
    """
    with path.open("rb") as opened:
        start = opened.read(_LOOKED_AT).removeprefix(b"\xef\xbb\xbf")
    if not start.strip():
        return "it is empty: download it again"
    if start.startswith(_LFS_POINTER):
        return "it is a Git LFS pointer, not the file: run `git lfs pull` or download it again"
    if start.lstrip().lower().startswith(_WEB_PAGES) or (not text and _is_text(start)):
        return "it holds a web page or other text, not the file: download it again"
    return ""


def _is_text(start: bytes) -> bool:
    """Whether all of it is printable ASCII; no format of weights begins so."""
    return start.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in start)
