"""Stopping criteria: when a row ends. Length and end tokens belong to the session itself."""

from typing import ClassVar, NamedTuple, Protocol

from gpt2sdk.components.component import Component
from gpt2sdk.components.records import FinishReason, Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import Session
from gpt2sdk.shapes import Mask


class CriterionRun(Protocol):
    """A token criterion at work in one session."""

    def check(self, rows: Rows) -> Mask | list[FinishReason | None]:
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

    def check(self, rows: Rows) -> Mask | list[FinishReason | None]:
        """Return which of these rows end after their last token; no waiting for the device.

        A criterion that has several reasons returns a list: a row's reason, or `None`.
        """
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


class Written(NamedTuple):
    """What a row has written.

    Attributes:
        text: All of the row's new text, complete characters only; special tokens have none.
        start: Characters before this one were certain already; no match begins there.
        tokens: The tokens written from there on, each with how long the text was before it.
        prompt: What the row continues.
    """

    text: str
    start: int
    tokens: tuple[tuple[int, int], ...]
    prompt: Prompt


class TextCriterionRun(Protocol):
    """A text criterion at work in one session."""

    def find(self, written: Written) -> TextEnd:
        """Look for an end in what a row has written."""


class TextCriterion(Component):
    """Ends rows by their text, across tokens. It remembers nothing.

    Attributes:
        reason: What a row it ends reports as `finish_reason`.
    """

    reason: ClassVar[str] = "stop_string"

    def start(self, session: Session) -> TextCriterionRun:
        """Begin a session: return what searches there, by default the component itself."""
        return self

    def find(self, written: Written) -> TextEnd:
        """Look for an end in what a row has written: by default in its text alone."""
        return self.search(written.text, written.start)

    def search(self, text: str, start: int) -> TextEnd:
        """Look for an end in what a row has written.

        Args:
            text: All of the row's new text, complete characters only.
            start: Characters before this one were certain already; no match begins there.
        """
        message = f"{type(self).__name__} does not override search"
        raise TypeError(message)
