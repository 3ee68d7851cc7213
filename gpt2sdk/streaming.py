"""Tokens to text as they come: no half characters, no beginnings of stop strings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

from gpt2sdk.components.records import Failure, Prompt, Row
from gpt2sdk.components.stopping import TextCriterionRun, Written

State = Any
"""A decoder's state between two tokens: opaque to everybody else, and immutable."""


@runtime_checkable
class TextDecoder(Protocol):
    """Decodes token by token, as a pure function of state and token."""

    def start(self, prompt: Sequence[int] = ()) -> State:
        """The state before the first token that continues a prompt."""

    def step(self, state: State, token: int) -> tuple[State, str]:
        """Take a token: the next state, and the text that became complete."""

    def finish(self, state: State) -> str:
        """The text of what is still incomplete."""


class ContinuationDecoder:
    """Decodes what rows add to their prompts; what was cut off a prompt is no part of it."""

    def __init__(self, decoder: TextDecoder) -> None:
        self._decoder = decoder

    def start(self, prompt: Prompt) -> State:
        """The state before a row's first token."""
        first = state = self._decoder.start(prompt.tokens)
        known = 0
        for token in prompt.cut:
            state, text = self._decoder.step(state, token)
            known += len(text)
        return first, known

    def step(self, state: State, token: int) -> tuple[State, str]:
        """Take a token: the next state, and the text that became complete and is new."""
        inner, known = state
        inner, text = self._decoder.step(inner, token)
        return (inner, max(known - len(text), 0)), text[known:]

    def finish(self, state: State) -> str:
        """The text of what is still incomplete."""
        inner, known = state
        return self._decoder.finish(inner)[known:]


def spell(decoder: TextDecoder, prompt: Prompt, tokens: Sequence[int]) -> str:
    """The text of tokens that continue a prompt."""
    continuation = ContinuationDecoder(decoder)
    state, pieces = continuation.start(prompt), []
    for token in tokens:
        state, text = continuation.step(state, token)
        pieces.append(text)
    return "".join(pieces) + continuation.finish(state)


class Mark(NamedTuple):
    """A token, and what was before it: the decoder's state, and the length of the text."""

    state: State
    length: int
    token: int


@dataclass(slots=True)
class RowText:
    """What one row has written.

    Attributes:
        prompt: What it continues.
        state: The decoder's state after the last token.
        text: Complete characters so far.
        marks: Its tokens.
        hold: How many last characters may still become a stop string.
        end: Where the text ends, and why, once a criterion has said so.
    """

    prompt: Prompt
    state: State
    text: str = ""
    marks: list[Mark] = field(default_factory=list)
    hold: int = 0
    end: tuple[int, str] | None = None

    def written(self, count: int, start: int) -> Written:
        """The first tokens, as a criterion is told of them that searches from a character on."""
        text = self.text[: self.marks[count].length] if count < len(self.marks) else self.text
        first = count
        while first and self.marks[first - 1].length >= start:
            first -= 1
        tokens = tuple((mark.length, mark.token) for mark in self.marks[first:count])
        return Written(text, start, tokens, self.prompt)


class Transcript:
    """The text of all rows, following them through every verb."""

    def __init__(
        self,
        decoder: TextDecoder,
        criteria: Callable[[Prompt], Sequence[tuple[str, TextCriterionRun, str]]],
        failures: dict[int, Failure],
    ) -> None:
        """Start empty.

        Args:
            decoder: Turns tokens into text. Those that end a row have none, and are no part of a
                match.
            criteria: The text criteria that act on a prompt: their names, runs and reasons.
            failures: Where it tells of rows that a criterion raised for, by seat.
        """
        self.rows: list[RowText] = []
        self._decoder = ContinuationDecoder(decoder)
        self._criteria = criteria
        self._acting = ""
        self._failures = failures

    def admit(self, seat: int, row: Row) -> None:
        """Write what a row has appended so far; a fresh one nothing."""
        written = RowText(row.prompt, self._decoder.start(row.prompt))
        self.rows[seat : seat + 1] = [written]
        for token in row.new_tokens:
            self._write(written, token)

    def append(self, tokens: Sequence[int]) -> None:
        """Write each row's token, and look for an end in the new text."""
        for seat, (row, token) in enumerate(zip(self.rows, tokens, strict=True)):
            if token >= 0:
                try:
                    self._write(row, token)
                except Exception as error:  # noqa: BLE001 - whatever it is, the row carries it
                    name = self._acting
                    what = f"{name or 'the decoder'} raised {type(error).__name__}: {error}"
                    self._failures[seat] = Failure(name, what, error)

    def _write(self, row: RowText, token: int) -> None:
        self._acting = ""
        row.marks.append(Mark(row.state, len(row.text), token))
        if token in row.prompt.eos_token_ids:
            return
        row.state, new = self._decoder.step(row.state, token)
        start = len(row.text) - row.hold
        row.text += new
        self._search(row, start)

    def _search(self, row: RowText, start: int) -> None:
        """The earliest end wins; on a tie, the criterion that stands first."""
        row.hold = 0
        criteria = self._criteria(row.prompt)
        if not criteria:
            return
        written = row.written(len(row.marks), start)
        for self._acting, criterion, reason in criteria:
            end, hold = criterion.find(written)
            row.hold = max(row.hold, hold)
            if end is not None and (row.end is None or end < row.end[0]):
                row.end = (end, reason)

    def fork(self, parents: Sequence[int]) -> None:
        """Copies have written the same."""
        self.rows = [
            replace(self.rows[parent], marks=list(self.rows[parent].marks)) for parent in parents
        ]

    def rewind(self, counts: Sequence[int]) -> None:
        """Unwrite each row's last tokens."""
        for row, count in zip(self.rows, counts, strict=True):
            if count:
                row.state, length, _ = row.marks[-count]
                row.text = row.text[:length]
                row.end = None
                del row.marks[-count:]
                self._search(row, 0)

    def final(self, seat: int) -> str:
        """The whole text of a row that is over, an unfinished character included."""
        row = self.rows[seat]
        if row.end is not None:
            return row.text[: row.end[0]]
        return row.text + self._decoder.finish(row.state)

    def certain(self, seat: int, held_tokens: int) -> str:
        """The text that is certain of a row that goes on.

        Args:
            seat: The row.
            held_tokens: How many of its last tokens may still be taken back.
        """
        row = self.rows[seat]
        written = len(row.marks) - held_tokens
        if written >= len(row.marks):
            return row.text[: len(row.text) - row.hold if row.end is None else row.end[0]]
        # Without the held tokens, what they ended or broke off may still become a match.
        some = row.written(max(written, 0), 0)
        found = [criterion.find(some) for _, criterion, _ in self._criteria(row.prompt)]
        text = some.text
        ends = [len(text) - hold if end is None else end for end, hold in found]
        return text[: min(ends, default=len(text))]
