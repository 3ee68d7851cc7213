"""Memory: values kept per row for the components that asked, following the rows' every move."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.records import Failure, Prompt
from gpt2sdk.components.rows import Row, Rows
from gpt2sdk.components.session import PerRow, PerRowTensor
from gpt2sdk.session.checks import raising
from gpt2sdk.session.slots import gather_rows
from gpt2sdk.shapes import Logits, Tokens

Value = TypeVar("Value")


class Follower(Protocol):
    """State of the rows: everything that is kept per row obeys the same four verbs."""

    def admit(self, place: int, row: Row) -> None:
        """A fresh row takes `place`; the place behind the last one is a new one."""

    def append(self, tokens: Sequence[int]) -> None:
        """Each row takes a token; -1 where it takes none."""

    def fork(self, parents: Sequence[int]) -> None:
        """Rows become copies of `rows[parents]`."""

    def rewind(self, counts: Sequence[int]) -> None:
        """Each row's last tokens are taken back."""


@dataclass(eq=False, slots=True)
class Owner:
    """Whoever asked for memory: a component at work, or the strategy.

    Attributes:
        failures: Where it is told of rows that its functions raised for, by place.
        name: What the component is called; empty for the strategy, whose errors go on.
        prompts: Those it acts on; `None` for all.
        followers: What follows the rows for it: its columns and mirrors.
        seen: What its columns know of the logits it is given.
    """

    failures: dict[int, Failure]
    name: str = ""
    prompts: set[Prompt] | None = None
    followers: list[Follower] = field(default_factory=list)
    seen: list["Seen"] = field(default_factory=list)

    def acts_on(self, prompt: Prompt) -> bool:
        """Whether its memory is wanted for a prompt's rows."""
        return self.prompts is None or prompt in self.prompts

    def fail(self, place: int, error: Exception) -> None:
        """Take note that one of its functions raised for a row."""
        if not self.name:
            raise error
        self.failures[place] = raising(self.name, error)

    def note(self, logits: Tensor, index: Sequence[int]) -> None:
        """Let its columns know what it was given for the rows at `index`."""
        for seen in self.seen:
            seen.note(logits, index)


class Seen:
    """What a column's owner was given for each row since its last token: it judges one token."""

    def __init__(self) -> None:
        self.rows: list[tuple[Tensor, int] | None] = []

    def note(self, logits: Tensor, index: Sequence[int]) -> None:
        """Remember the logits of the rows at `index`; they are not copied."""
        for at, place in enumerate(index):
            self.rows[place] = (logits, at)


class Column(PerRow[Value], Generic[Value]):
    """Host values, one per row, with their past so that `rewind` can bring it back."""

    def __init__(
        self,
        initial: Callable[[Prompt], Value],
        accept: Callable[[Value, int, Tensor | None], Value],
        copy: Callable[[Value], Value] | None,
        owner: Owner,
    ) -> None:
        self.seen = Seen()
        owner.seen.append(self.seen)
        self._initial = initial
        self._accept = accept
        self._copy = copy
        self._owner = owner
        self._prompts: list[Prompt] = []
        self._values: list[Value] = []
        self._past: list[list[Value]] = []

    @override
    def __getitem__(self, rows: Rows) -> list[Value]:
        return [self._values[place] for place in rows.index]

    def admit(self, place: int, row: Row) -> None:
        """A fresh row gets its initial value."""
        end = place + 1
        self._values[place:end] = [self._first(place, row.prompt)]
        self._past[place:end] = [[]]
        self._prompts[place:end] = [row.prompt]
        self.seen.rows[place:end] = [None]

    def _first(self, place: int, prompt: Prompt) -> Value:
        """A row's initial value; nothing where the owner does not act on it."""
        if self._owner.acts_on(prompt):
            try:
                return self._initial(prompt)
            except Exception as error:  # noqa: BLE001 - whatever it is, the row carries it
                self._owner.fail(place, error)
        return cast("Value", None)

    def append(self, tokens: Sequence[int]) -> None:
        """Advance the values of the rows that took a token."""
        for place, token in enumerate(tokens):
            if token < 0 or not self._owner.acts_on(self._prompts[place]):
                continue
            value = self._values[place]
            self._past[place].append(value)
            seen = self.seen.rows[place]
            logits = None if seen is None else seen[0][seen[1]]
            self.seen.rows[place] = None
            try:
                own = value if self._copy is None else self._copy(value)
                self._values[place] = self._accept(own, token, logits)
            except Exception as error:  # noqa: BLE001 - as above
                self._owner.fail(place, error)

    def fork(self, parents: Sequence[int]) -> None:
        """Values and their past are shared; `accept` never changes them in place."""
        self._values = [self._values[parent] for parent in parents]
        self._past = [list(self._past[parent]) for parent in parents]
        self._prompts = [self._prompts[parent] for parent in parents]
        self.seen.rows = [self.seen.rows[parent] for parent in parents]

    def rewind(self, counts: Sequence[int]) -> None:
        """Bring back the values from before each row's last tokens."""
        for place, count in enumerate(counts):
            past = self._past[place]
            if count:
                self.seen.rows[place] = None
            if count and past:
                self._values[place] = past[-min(count, len(past))]
                del past[-count:]


class TensorColumn(PerRowTensor):
    """A stacked tensor, one entry per row, likewise."""

    def __init__(
        self,
        initial: Callable[[Prompt], Tensor],
        accept: Callable[[Tensor, Tokens, Logits | None], Tensor],
        owner: Owner,
    ) -> None:
        self.seen = Seen()
        owner.seen.append(self.seen)
        self._initial = initial
        self._accept = accept
        self._owner = owner
        self._prompts: list[Prompt] = []
        self._now: list[tuple[Tensor, int]] = []
        self._past: list[list[tuple[Tensor, int]]] = []

    @override
    def __getitem__(self, rows: Rows) -> Tensor:
        return gather_rows([self._now[place] for place in rows.index])

    def admit(self, place: int, row: Row) -> None:
        """A fresh row gets its initial entry."""
        end = place + 1
        self._now[place:end] = [(self._first(place, row.prompt), 0)]
        self._past[place:end] = [[]]
        self._prompts[place:end] = [row.prompt]
        self.seen.rows[place:end] = [None]

    def _first(self, place: int, prompt: Prompt) -> Tensor:
        """A row's initial entry; nothing where the owner does not act on it."""
        if self._owner.acts_on(prompt):
            try:
                return self._initial(prompt)[None]
            except Exception as error:  # noqa: BLE001 - as above
                self._owner.fail(place, error)
        return torch.empty(1)

    def append(self, tokens: Sequence[int]) -> None:
        """Advance the entries of the rows that took a token."""
        index: list[int] = []
        blind: list[int] = []
        for place, token in enumerate(tokens):
            if token >= 0 and self._owner.acts_on(self._prompts[place]):
                self._past[place].append(self._now[place])
                (blind if self.seen.rows[place] is None else index).append(place)
        seen = [given for place in index if (given := self.seen.rows[place]) is not None]
        self._advance(index, tokens, gather_rows(seen) if seen else None)
        self._advance(blind, tokens, None)
        for place in index:
            self.seen.rows[place] = None

    def _advance(self, index: Sequence[int], tokens: Sequence[int], logits: Logits | None) -> None:
        if not index:
            return
        values = gather_rows([self._now[place] for place in index])
        taken = torch.tensor([tokens[place] for place in index], device=values.device)
        try:
            advanced = self._accept(values, taken, logits)
        except Exception as error:  # noqa: BLE001 - as above
            if len(index) == 1:
                self._owner.fail(index[0], error)
                return
            for at, place in enumerate(index):
                self._advance([place], tokens, None if logits is None else logits[at : at + 1])
            return
        for at, place in enumerate(index):
            self._now[place] = (advanced, at)

    def fork(self, parents: Sequence[int]) -> None:
        """Entries are values: copies refer to the same tensor."""
        self._now = [self._now[parent] for parent in parents]
        self._past = [list(self._past[parent]) for parent in parents]
        self._prompts = [self._prompts[parent] for parent in parents]
        self.seen.rows = [self.seen.rows[parent] for parent in parents]

    def rewind(self, counts: Sequence[int]) -> None:
        """Bring back the entries from before each row's last tokens."""
        for place, count in enumerate(counts):
            past = self._past[place]
            if count:
                self.seen.rows[place] = None
            if count and past:
                self._now[place] = past[-min(count, len(past))]
                del past[-count:]
