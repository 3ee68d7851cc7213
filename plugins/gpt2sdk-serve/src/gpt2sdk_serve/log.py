"""The server's log: one line each, no prompts unless asked, no control characters."""

import logging
import traceback
from typing import Final

from gpt2sdk_serve.problem import RequestError

LOG: Final = logging.getLogger("gpt2sdk_serve")


def one_line(text: str, most: int = 2_000) -> str:
    r"""Return a text as a log can have it, whoever wrote it: printable, and in one line.

    >>> one_line("Once\n\x1b[31mupon")
    'Once\\n\\x1b[31mupon'
    """
    cut = text if len(text) <= most else text[:most] + "…"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "replace").decode()
        for each in cut
    )


def log_failure(problem: RequestError, error: Exception) -> None:
    """Log what is the server's fault, or a component's: what was raised where.

    The message may quote a prompt, so only its kind and the lines of code are written.
    """
    if problem.status < 500 or isinstance(error, RequestError):
        return
    cause = error.__cause__ or error
    frames = traceback.extract_tb(cause.__traceback__)[-6:]
    where = " < ".join(f"{each.filename}:{each.lineno}" for each in reversed(frames))
    LOG.error("%s: %s", one_line(type(cause).__name__), one_line(where))
