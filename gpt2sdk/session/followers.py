"""Followers: everything that is kept per row, moved together through every verb."""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

from gpt2sdk.components.records import Failure, Prompt, Row
from gpt2sdk.components.rows import RowStore
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.columns import Entourage, Follower
from gpt2sdk.session.reader import Reading
from gpt2sdk.session.request import Meter


class Turn(IntEnum):
    """When a follower learns of a verb.

    What judges a token by the logits it was picked from goes before the branches, which drop them;
    the branches go before the rows themselves, whose lengths they still need.
    """

    COLUMN = 0
    LOGPROBS = 1
    TEXT = 2
    BRANCH = 3
    ROWS = 4


class Followers:
    """The rows of a session and all that follows them.

    Attributes:
        store: The rows.
        failures: What is wrong with rows, by seat, for those who keep something of them.
        entourage: Whose what joins now is: of the component that is being started, or of the
            strategy.
        own: What follows them for the strategy, and for the session itself.
        branches: What models know of the rows; the session's own comes first.
    """

    def __init__(self, store: RowStore, hold: int | None = None) -> None:
        """Start with the rows alone.

        Args:
            store: The rows.
            hold: How many last tokens of a row may be taken back at most; `None` for all.
        """
        self.store = store
        self.hold = hold
        self.failures: dict[int, Failure] = {}
        self.own = self.entourage = Entourage(self.failures, hold=hold, joined=True)
        self.branches: list[Branch] = []
        self._joined: list[Follower] = []
        self._turns: dict[int, Turn] = {}
        self.join(store, Turn.ROWS)

    def take_failures(self) -> dict[int, Failure]:
        """The rows that something which components remember of them raised for, once."""
        failures = dict(self.failures)
        self.failures.clear()
        return failures

    @contextmanager
    def joining(self, entourage: Entourage) -> Iterator[None]:
        """Let what joins meanwhile follow the rows for a component that is being started."""
        before, self.entourage = self.entourage, entourage
        try:
            yield
        except Exception:
            self.leave(entourage.followers)
            raise
        finally:
            self.entourage = before

    def join(self, follower: Follower, turn: Turn, entourage: Entourage | None = None) -> None:
        """Let a follower follow the rows, once there are some that its component acts on.

        Args:
            follower: What follows them.
            turn: When it learns of a verb.
            entourage: Whose it is; by default, of what is being started.
        """
        entourage = entourage or self.entourage
        entourage.followers.append(follower)
        self._turns[id(follower)] = turn
        if entourage.joined:
            self._follow(follower)

    def wake(self, entourages: Iterable[Entourage]) -> None:
        """Let all that components asked for follow the rows from now on."""
        for entourage in entourages:
            if not entourage.joined:
                entourage.joined = True
                for follower in entourage.followers:
                    self._follow(follower)

    def check_room(self, prompt: Prompt, entourages: Iterable[Entourage]) -> None:
        """Make sure that a prompt's rows can grow as far as they may, in each model's window.

        Args:
            prompt: The prompt.
            entourages: What will follow its rows, besides what follows all rows.

        Raises:
            ContextOverflowError: They cannot.
        """
        followers = [follower for each in entourages for follower in each.followers]
        for follower in dict.fromkeys([*self.branches, *followers]):
            if isinstance(follower, Branch):
                follower.check_room(prompt)

    def leave(self, followers: Sequence[Follower]) -> None:
        """Let these follow no longer."""
        if not followers:
            return
        gone = {id(follower) for follower in followers}
        self._joined = [follower for follower in self._joined if id(follower) not in gone]
        self.branches = [branch for branch in self.branches if id(branch) not in gone]
        for follower in followers:
            del self._turns[id(follower)]
            if isinstance(follower, Branch):
                follower.close()

    def _follow(self, follower: Follower) -> None:
        """Let a follower catch up with the rows there are."""
        turn = self._turns[id(follower)]
        if turn is not Turn.ROWS:
            for seat, row in enumerate(self.store.rows):
                follower.admit(seat, row)
        insort(self._joined, follower, key=lambda one: self._turns[id(one)])
        if isinstance(follower, Branch):
            self.branches.append(follower)

    @property
    def ahead(self) -> bool:
        """Whether a row that goes on has a position that was scored, and is wanted."""
        main = self.branches[0]
        return main.wanted and any(
            row.finish_reason is None and state.known is not None
            for row, state in zip(self.store.rows, main.rows, strict=True)
        )

    def unread(self, *, together: bool) -> list[int]:
        """The rows that the session's own model has to read.

        Args:
            together: Whether all rows that go on are read as soon as one has to be; else none are
                while others have positions that were scored ahead.
        """
        rows, main = self.store.rows, self.branches[0]
        known = main.rows
        live = [seat for seat, row in enumerate(rows) if row.finish_reason is None]
        unread = [seat for seat in live if known[seat].known is None]
        due = live if unread and (together or len(unread) == len(live)) else []
        if main.layers:
            due += [
                seat
                for seat, row in enumerate(rows)
                if row.finish_reason is not None and not row.handed
                if main.is_behind(seat) and main.can_read(seat)
            ]
        return due

    def readings(
        self,
        seats: Sequence[int],
        proposals: Sequence[Sequence[int]] | None,
        meter: Callable[[Prompt], Meter],
    ) -> list[Reading]:
        """What models are to read for these rows: their own sequences, and mirrors' in use.

        Args:
            seats: The rows.
            proposals: What was drafted behind each of them; `None` for nothing at all.
            meter: Who counts the cost for a prompt.
        """
        main, *mirrors = self.branches
        readings = [Reading(main, seats, proposals, meter)]
        for branch in mirrors:
            if branch.wanted:
                mine = [at for at, seat in enumerate(seats) if branch.rows[seat].prefix]
                drafts = None if proposals is None else [proposals[at] for at in mine]
                readings.append(Reading(branch, [seats[at] for at in mine], drafts, meter))
        return readings

    def close(self) -> None:
        """Let go of all that follows the rows: its functions and runs may hold the session."""
        followers = [follower for follower in self._joined if follower is not self.store]
        for follower in followers:
            follower.fork(())
        self.leave(followers)
        self.entourage.followers.clear()

    def admit(self, seat: int, row: Row) -> None:
        """Put a fresh row at `seat`, in a finished row's stead or behind the last one."""
        for follower in self._joined:
            follower.admit(seat, row)

    def append(self, tokens: Sequence[int]) -> None:
        """Append one token to each row; -1 leaves a row as it is."""
        for follower in self._joined:
            follower.append(tokens)

    def fork(self, parents: Sequence[int]) -> None:
        """Rows become copies of `rows[parents]`."""
        for follower in self._joined:
            follower.fork(parents)

    def rewind(self, counts: Sequence[int]) -> None:
        """Take back each row's last tokens."""
        for follower in self._joined:
            follower.rewind(counts)
