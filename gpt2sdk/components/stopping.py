"""Stopping criteria: when a row ends. Length and end tokens belong to the session itself."""

from typing import ClassVar, NamedTuple, Protocol

from gpt2sdk.components.component import Component
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import Session
from gpt2sdk.shapes import Mask


class CriterionRun(Protocol):
    """A token criterion at work in one session."""

    def check(self, rows: Rows) -> Mask:
        """Return which of these rows end after their last token."""


class StoppingCriterion(Component):
    """Ends rows by their tokens, their number or the time.

    Attributes:
        reason: What a row it ends reports as `finish_reason`.
    """

    reason: ClassVar[str] = "custom"

    def start(self, session: Session) -> CriterionRun:
        """Begin a session: return what checks there, by default the component itself."""
        return self

    def check(self, rows: Rows) -> Mask:
        """Return which of these rows end after their last token; no waiting for the device."""
        message = f"{type(self).__name__} overrides neither start nor check"
        raise TypeError(message)


class TextEnd(NamedTuple):
    """What a text criterion found.

    Attributes:
        end: Where the text ends, in characters; `None` if it goes on.
        hold: How many of the last characters may still become a match, and wait.
    """

    end: int | None
    hold: int = 0


class TextCriterion(Component):
    """Ends rows by their text, across tokens. It remembers nothing.

    Attributes:
        reason: What a row it ends reports as `finish_reason`.
    """

    reason: ClassVar[str] = "stop_string"

    def search(self, text: str, start: int) -> TextEnd:
        """Look for an end in what a row has written.

        Args:
            text: All of the row's new text, complete characters only.
            start: Characters before this one were certain already; no match begins there.
        """
        message = f"{type(self).__name__} does not override search"
        raise TypeError(message)
