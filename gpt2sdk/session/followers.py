"""Followers: everything that is kept per row, moved together through every verb."""

from bisect import insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple

from gpt2sdk.components.records import Failure
from gpt2sdk.components.rows import Row, RowStore
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.columns import Entourage, Follower


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


class _Joined(NamedTuple):
    turn: Turn
    follower: Follower


class Followers:
    """The rows of a session and all that follows them.

    Attributes:
        store: The rows.
        failures: What is wrong with rows, by seat, for those who keep something of them.
        entourage: Whose what joins now is: of the component that is being started, or of the
            strategy.
        branches: What models know of the rows; the session's own comes first.
    """

    def __init__(self, store: RowStore) -> None:
        self.store = store
        self.failures: dict[int, Failure] = {}
        self.entourage = Entourage(self.failures)
        self.branches: list[Branch] = []
        self._joined: list[_Joined] = []
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

    def join(self, follower: Follower, turn: Turn) -> None:
        """Let a follower catch up with the rows there are, and follow them from now on."""
        if turn is not Turn.ROWS:
            for seat, row in enumerate(self.store.rows):
                follower.admit(seat, row)
        insort(self._joined, _Joined(turn, follower), key=lambda one: one.turn)
        if isinstance(follower, Branch):
            self.branches.append(follower)
        self.entourage.followers.append(follower)

    def leave(self, followers: Sequence[Follower]) -> None:
        """Let these follow no longer."""
        if followers:
            gone = {id(follower) for follower in followers}
            self._joined = [each for each in self._joined if id(each.follower) not in gone]
            self.branches = [branch for branch in self.branches if id(branch) not in gone]
            for follower in followers:
                if isinstance(follower, Branch):
                    follower.close()

    def close(self) -> None:
        """Let go of all that follows the rows: its functions and runs may hold the session."""
        followers = [one.follower for one in self._joined if one.turn is not Turn.ROWS]
        for follower in followers:
            follower.fork(())
        self.leave(followers)
        self.entourage.followers.clear()

    def admit(self, seat: int, row: Row) -> None:
        """Put a fresh row at `seat`, in a finished row's stead or behind the last one."""
        for one in self._joined:
            one.follower.admit(seat, row)

    def append(self, tokens: Sequence[int]) -> None:
        """Append one token to each row; -1 leaves a row as it is."""
        for one in self._joined:
            one.follower.append(tokens)

    def fork(self, parents: Sequence[int]) -> None:
        """Rows become copies of `rows[parents]`."""
        for one in self._joined:
            one.follower.fork(parents)

    def rewind(self, counts: Sequence[int]) -> None:
        """Take back each row's last tokens."""
        for one in self._joined:
            one.follower.rewind(counts)
