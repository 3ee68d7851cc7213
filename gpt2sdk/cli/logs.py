"""What the library logs, shown as people read it: a plugin that is left out, and why."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from typing_extensions import override

from gpt2sdk.cli.terminal import warn


class _Warnings(logging.Handler):
    """Prints each message once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self._said:
            self._said.add(message)
            warn(message)


@contextmanager
def shown_as_warnings() -> Iterator[None]:
    """Show what the library warns of while a command runs."""
    logger = logging.getLogger("gpt2sdk")
    handler = _Warnings()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def unsaid() -> Iterator[None]:
    """Keep silent about plugins, where a command says the same better."""
    logger = logging.getLogger("gpt2sdk.plugins")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False
