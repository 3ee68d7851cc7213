"""Followers: everything that is kept per row, moved together through every verb."""

from bisect import insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple

from gpt2sdk.components.records import Failure
from gpt2sdk.components.rows import Board, Row
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.memory import Follower, Owner


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


class _Entry(NamedTuple):
    turn: Turn
    follower: Follower


class Followers:
    """The rows of a session and all that follows them.

    Attributes:
        board: The rows.
        failures: What is wrong with rows, by place, for those who keep something of them.
        owner: For whom what joins now follows them: the component that is being started, or the
            strategy.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.failures: dict[int, Failure] = {}
        self.owner = Owner(self.failures)
        self._entries: list[_Entry] = []
        self.join(board, Turn.ROWS)

    def take_failures(self) -> dict[int, Failure]:
        """The rows that something which components remember of them raised for, once."""
        failures = dict(self.failures)
        self.failures.clear()
        return failures

    @property
    def branches(self) -> Iterator[Branch]:
        """What models know of the rows; the session's own comes first."""
        for entry in self._entries:
            if isinstance(entry.follower, Branch):
                yield entry.follower

    @contextmanager
    def owned_by(self, owner: Owner) -> Iterator[None]:
        """Let what joins meanwhile follow the rows for a component that is being started."""
        before, self.owner = self.owner, owner
        try:
            yield
        except Exception:
            self.leave(owner.followers)
            raise
        finally:
            self.owner = before

    def join(self, follower: Follower, turn: Turn) -> None:
        """Let a follower catch up with the rows there are, and follow them from now on."""
        if turn is not Turn.ROWS:
            for place, row in enumerate(self.board.rows):
                follower.admit(place, row)
        insort(self._entries, _Entry(turn, follower), key=lambda entry: entry.turn)
        self.owner.followers.append(follower)

    def leave(self, followers: Sequence[Follower]) -> None:
        """Let these follow no longer."""
        if followers:
            gone = {id(follower) for follower in followers}
            self._entries = [each for each in self._entries if id(each.follower) not in gone]
            for follower in followers:
                if isinstance(follower, Branch):
                    follower.close()

    def close(self) -> None:
        """Let go of all that follows the rows: its functions and runs may hold the session."""
        followers = [entry.follower for entry in self._entries if entry.turn is not Turn.ROWS]
        for follower in followers:
            follower.fork(())
        self.leave(followers)
        self.owner = Owner(self.failures)

    def admit(self, place: int, row: Row) -> None:
        """Put a fresh row at `place`, in a finished row's stead or behind the last one."""
        for entry in self._entries:
            entry.follower.admit(place, row)

    def append(self, tokens: Sequence[int]) -> None:
        """Append one token to each row; -1 leaves a row as it is."""
        for entry in self._entries:
            entry.follower.append(tokens)

    def fork(self, parents: Sequence[int]) -> None:
        """Rows become copies of `rows[parents]`."""
        for entry in self._entries:
            entry.follower.fork(parents)

    def rewind(self, counts: Sequence[int]) -> None:
        """Take back each row's last tokens."""
        for entry in self._entries:
            entry.follower.rewind(counts)
