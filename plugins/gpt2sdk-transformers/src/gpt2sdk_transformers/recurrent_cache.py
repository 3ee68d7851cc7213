"""The memory of models with recurrent layers: states, and keys and values of what attends.

A state cannot be cut to a length. So a slot also keeps the states it had at a few lengths, its
marks: taken back, it goes to the last mark that is early enough, and what it still holds behind
that is fed again, together with what comes next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, final

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import Cache
from gpt2sdk_transformers.states import StatePages

MARKS: Final = 3
"""Most marks of a slot: the first one, which is where its prompt ended, and the last ones."""

PAGES: Final = 1 + MARKS
"""Most states of a slot: the one it has, and its marks."""

STRIDE: Final = 16
"""Tokens between marks of a slot that is fed one by one: so many are fed again at most if it is
taken back by a few."""

NEAR: Final = 8
"""So many tokens are rather fed again than marked behind: reading them apart from what follows
takes two passes through a layer's matrices."""


@dataclass(slots=True)
class StateMark:
    """A state that a slot can go back to.

    Attributes:
        length: How many tokens it has seen.
        page: Where it is.
    """

    length: int
    page: int


@dataclass(slots=True)
class RecurrentSlot:
    """What a slot holds.

    Attributes:
        ids: Its tokens.
        seen: How many of them its state has seen; the others are fed again.
        page: The state; `None` before the first token.
        marks: Earlier states, in their order.
    """

    ids: list[int] = field(default_factory=list)
    seen: int = 0
    page: int | None = None
    marks: list[StateMark] = field(default_factory=list)

    @property
    def pages(self) -> list[int]:
        """All pages that it holds."""
        own = [] if self.page is None else [self.page]
        return own + [mark.page for mark in self.marks]

    def copy(self) -> "RecurrentSlot":
        """Return the same, for another row."""
        return RecurrentSlot(list(self.ids), self.seen, self.page, list(self.marks))


@final
class RecurrentCache:
    """A ragged memory of models with recurrent layers: a `KeyValueCache`.

    It is no `PortableCache`: no number of tokens can be copied out of a state.

    Attributes:
        keys: Keys and values, of the layers that attend; each slot has those that its state has
            seen.
        pages: States.
        limit: Most tokens a slot can hold.
    """

    def __init__(self, slots: int, *, layers: int, limit: int) -> None:
        """Start with empty slots.

        Args:
            slots: How many.
            layers: Blocks of the model.
            limit: Its window.
        """
        self.keys = Cache(slots, layers=layers, limit=limit)
        self.pages = StatePages()
        self.limit = limit
        self.pages.most = PAGES * slots
        self._slots = [RecurrentSlot() for _ in range(slots)]

    @property
    def layers(self) -> int:
        """Blocks of the model."""
        return self.keys.layers

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens each slot holds."""
        return tuple(len(slot.ids) for slot in self._slots)

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated."""
        return self.keys.nbytes + self.pages.nbytes

    @property
    def slots(self) -> Sequence[RecurrentSlot]:
        """What each slot holds."""
        return tuple(self._slots)

    def fork(self, parents: Sequence[int]) -> None:
        """Slot `i` becomes a copy of slot `parents[i]`; -1 makes an empty one.

        Pages are shared until somebody goes on. Without slots nothing is held.

        Raises:
            OptionError: If a parent is not a slot.
        """
        self.keys.fork(parents)
        old, gone = self._slots, set(range(len(self._slots)))
        made: list[RecurrentSlot] = []
        for parent in parents:
            if parent < 0:
                made.append(RecurrentSlot())
            elif parent in gone:
                gone.discard(parent)
                made.append(old[parent])
            else:
                made.append(old[parent].copy())
                for page in made[-1].pages:
                    self.pages.share(page)
        for slot in gone:
            self._release(old[slot].pages)
        self._slots = made
        self.pages.most = PAGES * len(made)
        self.pages.trim()

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget what each slot holds beyond its given length.

        Raises:
            OptionError: If there is not one length per slot, or it is more than the slot holds.
        """
        if len(lengths) != len(self._slots):
            raise _misuse(f"{len(lengths)} lengths for {len(self._slots)} slots")
        for at, (length, held) in enumerate(zip(lengths, self.lengths, strict=True)):
            if not 0 <= length <= held:
                raise _misuse(f"slot {at}: expected a length from 0 to {held}, got {length}")
        for slot, length in zip(self._slots, lengths, strict=True):
            del slot.ids[length:]
            if length < slot.seen:
                self._go_back(slot, length)
        self.keys.rewind([slot.seen for slot in self._slots])

    def unseen(self, tokens: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """Return what has to be fed to each slot, so that it holds these tokens besides."""
        return [
            [*slot.ids[slot.seen :], *new] if new else new
            for slot, new in zip(self._slots, tokens, strict=True)
        ]

    def split(self, slot: int, new: int, keep: int) -> int:
        """Say behind which of the tokens that are fed to a slot its state is to be marked.

        Tokens behind the first scored one are drafts, and may be taken back. Up to `NEAR` tokens
        before them are rather fed once more than read apart from the others.

        Args:
            slot: The slot.
            new: How many tokens come, besides those that it has to be fed again.
            keep: How many of the last ones are scored.

        Returns:
            Their number; 0 for none.
        """
        held = self._slots[slot]
        again = len(held.ids) - held.seen
        behind = again + new - keep
        return behind if behind > NEAR and (again or keep > 1) else 0

    def place(self, slot: int, *, drafted: bool) -> int:
        """Find the page for a slot's next state, and let the slot hold it.

        Args:
            slot: The slot; `advance` is still to come.
            drafted: Whether some of what is fed may be taken back soon: then the state that it had
                is marked.
        """
        held = self._slots[slot]
        if held.page is not None:
            last = held.marks[-1].length if held.marks else -STRIDE
            if last < held.seen and (drafted or held.seen - last >= STRIDE):
                self._make_room(held)
                held.marks.append(StateMark(held.seen, self.pages.share(held.page)))
            if self.pages.users(held.page) == 1:
                return held.page
            self.pages.release(held.page)
        held.page = self.pages.take()
        return held.page

    def mark(self, slot: int, more: int) -> int:
        """Return a page for the state that a slot has so many tokens behind the one it had."""
        held = self._slots[slot]
        self._make_room(held)
        held.marks.append(StateMark(held.seen + more, self.pages.take()))
        return held.marks[-1].page

    def advance(self, tokens: Sequence[Sequence[int]]) -> None:
        """Count what was fed: all that each slot held, and these tokens."""
        for slot, new in zip(self._slots, tokens, strict=True):
            if new:
                slot.ids += new
                slot.seen = len(slot.ids)

    def _go_back(self, slot: RecurrentSlot, length: int) -> None:
        """Restore the last state that had seen no more than a length."""
        kept = [mark for mark in slot.marks if mark.length <= length]
        self._release([mark.page for mark in slot.marks[len(kept) :]])
        if slot.page is not None:
            self.pages.release(slot.page)
        slot.marks = kept
        slot.page = self.pages.share(kept[-1].page) if kept else None
        slot.seen = kept[-1].length if kept else 0

    def _make_room(self, slot: RecurrentSlot) -> None:
        """Drop a mark that the next one replaces, before that needs a page.

        It is the last one, if that is near the one before; else, of too many, that behind the
        first.
        """
        marks = slot.marks
        if len(marks) > 1 and marks[-1].length - marks[-2].length < STRIDE:
            self._release([marks.pop().page])
        if len(marks) == MARKS:
            self._release([marks.pop(1).page])

    def _release(self, pages: Sequence[int]) -> None:
        for page in pages:
            self.pages.release(page)


def _misuse(problem: str) -> OptionError:
    return OptionError(f"the cache was misused: {problem}")
