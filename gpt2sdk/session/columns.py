"""Columns: values kept per row for the components that asked, following the rows' every move."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.records import Failure, Prompt, Row
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import PerRow, PerRowTensor
from gpt2sdk.session.checks import raising
from gpt2sdk.session.reader import gather_rows
from gpt2sdk.shapes import Logits, Tokens

Value = TypeVar("Value")


class Follower(Protocol):
    """State of the rows: everything that is kept per row obeys the same four verbs."""

    def admit(self, seat: int, row: Row) -> None:
        """A fresh row takes `seat`; the seat behind the last one is a new one."""

    def append(self, tokens: Sequence[int]) -> None:
        """Each row takes a token; -1 where it takes none."""

    def fork(self, parents: Sequence[int]) -> None:
        """Rows become copies of `rows[parents]`."""

    def rewind(self, counts: Sequence[int]) -> None:
        """Each row's last tokens are taken back."""


@dataclass(eq=False, slots=True)
class Entourage:
    """What follows the rows for one component at work, or for the strategy.

    Attributes:
        failures: Where it is told of rows that the component's functions raised for, by seat.
        name: What the component is called; empty for the strategy, whose errors go on.
        prompts: Those that the component acts on; `None` for all.
        followers: Its columns and mirrors.
        seen: What its columns know of the logits that the component is given.
        hold: How many last tokens of a row may be taken back at most; `None` for all.
        joined: Whether its followers follow the rows: from the first row on that it acts on.
    """

    failures: dict[int, Failure]
    name: str = ""
    prompts: set[Prompt] | None = None
    followers: list[Follower] = field(default_factory=list)
    seen: list["Seen"] = field(default_factory=list)
    hold: int | None = None
    joined: bool = False

    def acts_on(self, prompt: Prompt) -> bool:
        """Whether it is wanted for a prompt's rows."""
        return self.prompts is None or prompt in self.prompts

    def fail(self, seat: int, error: Exception) -> None:
        """Take note that one of the component's functions raised for a row."""
        if not self.name:
            raise error
        self.failures[seat] = raising(self.name, error)

    def note(self, logits: Tensor, index: Sequence[int]) -> None:
        """Let columns know what the component was given for the rows at `index`."""
        for seen in self.seen:
            seen.note(logits, index)


class Seen:
    """What its component was given for each row since its last token: it judges one token."""

    def __init__(self) -> None:
        self.rows: list[tuple[Tensor, int] | None] = []

    def note(self, logits: Tensor, index: Sequence[int]) -> None:
        """Remember the logits of the rows at `index`; they are not copied."""
        for at, seat in enumerate(index):
            self.rows[seat] = (logits, at)


class History(ABC, Generic[Value]):
    """One value per row with its past, so that `rewind` can bring it back."""

    def __init__(self, entourage: Entourage) -> None:
        self.seen = Seen()
        entourage.seen.append(self.seen)
        self._entourage = entourage
        self._prompts: list[Prompt] = []
        self._now: list[Value] = []
        self._past: list[list[Value]] = []

    @abstractmethod
    def _first(self, seat: int, prompt: Prompt) -> Value:
        """What a fresh row starts with."""

    def admit(self, seat: int, row: Row) -> None:
        """A fresh row gets its initial value."""
        end = seat + 1
        self._now[seat:end] = [self._first(seat, row.prompt)]
        self._past[seat:end] = [[]]
        self._prompts[seat:end] = [row.prompt]
        self.seen.rows[seat:end] = [None]

    def fork(self, parents: Sequence[int]) -> None:
        """Values and their past are shared: none is ever changed in place."""
        self._now = [self._now[parent] for parent in parents]
        self._past = [list(self._past[parent]) for parent in parents]
        self._prompts = [self._prompts[parent] for parent in parents]
        self.seen.rows = [self.seen.rows[parent] for parent in parents]

    def _remember(self, seat: int) -> None:
        """Keep a row's present value, as long as it may come back."""
        hold = self._entourage.hold
        if hold != 0:
            past = self._past[seat]
            past.append(self._now[seat])
            if hold is not None and len(past) > hold:
                del past[0]

    def rewind(self, counts: Sequence[int]) -> None:
        """Bring back the values from before each row's last tokens."""
        for seat, count in enumerate(counts):
            past = self._past[seat]
            if count:
                self.seen.rows[seat] = None
            if count and past:
                self._now[seat] = past[-min(count, len(past))]
                del past[-count:]


class Column(History[Value], PerRow[Value]):
    """Host values, one per row."""

    def __init__(
        self,
        initial: Callable[[Prompt], Value],
        accept: Callable[[Value, int, Tensor | None], Value],
        copy: Callable[[Value], Value] | None,
        entourage: Entourage,
    ) -> None:
        super().__init__(entourage)
        self._initial = initial
        self._accept = accept
        self._copy = copy

    @override
    def __getitem__(self, rows: Rows) -> list[Value]:
        return [self._now[seat] for seat in rows.index]

    @override
    def _first(self, seat: int, prompt: Prompt) -> Value:
        """A row's initial value; nothing where the component does not act on it."""
        if self._entourage.acts_on(prompt):
            try:
                return self._initial(prompt)
            except Exception as error:  # noqa: BLE001 - whatever it is, the row carries it
                self._entourage.fail(seat, error)
        return cast("Value", None)

    def append(self, tokens: Sequence[int]) -> None:
        """Advance the values of the rows that took a token."""
        for seat, token in enumerate(tokens):
            if token < 0 or not self._entourage.acts_on(self._prompts[seat]):
                continue
            value = self._now[seat]
            self._remember(seat)
            seen = self.seen.rows[seat]
            logits = None if seen is None else seen[0][seen[1]]
            self.seen.rows[seat] = None
            try:
                own = value if self._copy is None else self._copy(value)
                self._now[seat] = self._accept(own, token, logits)
            except Exception as error:  # noqa: BLE001 - as above
                self._entourage.fail(seat, error)


class TensorColumn(History[tuple[Tensor, int]], PerRowTensor):
    """A stacked tensor, one entry per row: each is a tensor and its place in it."""

    def __init__(
        self,
        initial: Callable[[Prompt], Tensor],
        accept: Callable[[Tensor, Tokens, Logits | None], Tensor],
        entourage: Entourage,
    ) -> None:
        super().__init__(entourage)
        self._initial = initial
        self._accept = accept

    @override
    def __getitem__(self, rows: Rows) -> Tensor:
        return gather_rows([self._now[seat] for seat in rows.index])

    @override
    def _first(self, seat: int, prompt: Prompt) -> tuple[Tensor, int]:
        """A row's initial entry; nothing where the component does not act on it."""
        if self._entourage.acts_on(prompt):
            try:
                return self._initial(prompt)[None], 0
            except Exception as error:  # noqa: BLE001 - as above
                self._entourage.fail(seat, error)
        return torch.empty(1), 0

    def append(self, tokens: Sequence[int]) -> None:
        """Advance the entries of the rows that took a token."""
        index: list[int] = []
        blind: list[int] = []
        for seat, token in enumerate(tokens):
            if token >= 0 and self._entourage.acts_on(self._prompts[seat]):
                self._remember(seat)
                (blind if self.seen.rows[seat] is None else index).append(seat)
        seen = [given for seat in index if (given := self.seen.rows[seat]) is not None]
        self._advance(index, tokens, gather_rows(seen) if seen else None)
        self._advance(blind, tokens, None)
        for seat in index:
            self.seen.rows[seat] = None

    def _advance(self, index: Sequence[int], tokens: Sequence[int], logits: Logits | None) -> None:
        if not index:
            return
        values = gather_rows([self._now[seat] for seat in index])
        taken = torch.tensor([tokens[seat] for seat in index], device=values.device)
        try:
            advanced = self._accept(values, taken, logits)
        except Exception as error:  # noqa: BLE001 - as above
            if len(index) == 1:
                self._entourage.fail(index[0], error)
                return
            for at, seat in enumerate(index):
                self._advance([seat], tokens, None if logits is None else logits[at : at + 1])
            return
        for at, seat in enumerate(index):
            self._now[seat] = (advanced, at)
