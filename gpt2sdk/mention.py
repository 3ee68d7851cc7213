"""How messages mention an argument: as Python writes it, or as the caller's language does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Spelling = Callable[[str, tuple[object, ...]], str]
"""Writes an argument, from its name in Python and its value, if there is one."""


def argument(name: str, *value: object) -> str:
    """Mention an argument in a message, in the language that the caller speaks.

    Whoever writes a message needs not know whether Python or a command line reads it.

    Args:
        name: The argument's name in Python.
        value: Its value, or nothing where the argument is meant and no value of it.

    Example:
        >>> argument("max_memory"), argument("dtype", "bfloat16")
        ('max_memory=', "dtype='bfloat16'")
    """
    return _spelling.get()(name, value)


@contextmanager
def spelled_as(spelling: Spelling) -> Iterator[None]:
    """Let messages that are written in this context mention arguments in another language."""
    token = _spelling.set(spelling)
    try:
        yield
    finally:
        _spelling.reset(token)


def _in_python(name: str, value: tuple[object, ...]) -> str:
    return f"{name}={', '.join(map(repr, value))}"


_spelling: Final[ContextVar[Spelling]] = ContextVar("spelling", default=_in_python)
