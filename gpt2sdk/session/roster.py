"""The roster: the rows and everything that follows them, moved together."""

from collections.abc import Sequence

from gpt2sdk.components.records import Prompt
from gpt2sdk.components.rows import Board
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.delivery import Delivery
from gpt2sdk.session.follower import Follower
from gpt2sdk.session.memory import Memory


class Roster:
    """Carries every verb out on the rows and on all that is kept of them.

    Attributes:
        board: The rows.
        memory: What components remember of them.
        delivery: What of them is on its way to the caller.
        branches: What models know of them; the session's own comes first.
    """

    def __init__(self, board: Board, delivery: Delivery) -> None:
        self.board = board
        self.memory = Memory()
        self.delivery = delivery
        self.branches: list[Branch] = []
        self._followers: list[Follower] = []

    def join(self, follower: Follower) -> None:
        """Let a follower that was made just now catch up with the rows there are."""
        for place, row in enumerate(self.board.rows):
            follower.admit(place, row.prompt)
        self.line_up()

    def close(self) -> None:
        """Free the branches' caches, and what is remembered of the rows but their tokens."""
        for branch in self.branches:
            branch.close()
        self.memory.close()
        self.branches, self._followers = [], []

    def line_up(self) -> None:
        """Put the followers in the order that `append` needs.

        What judges a token by the logits it was picked from comes before the branches, which
        drop them; the branches come before the board, whose lengths they still need.
        """
        followers: list[Follower] = [*self.memory.columns]
        if self.delivery.logprobs is not None:
            followers.append(self.delivery.logprobs)
        if self.delivery.transcript is not None:
            followers.append(self.delivery.transcript)
        self._followers = [*followers, self.delivery, *self.branches]

    def admit(self, place: int, prompt: Prompt, lane: int) -> None:
        """Put a fresh row at `place`."""
        self.board.admit(place, prompt, lane)
        for follower in self._followers:
            follower.admit(place, prompt)

    def append(self, tokens: Sequence[int]) -> None:
        """Append one token to each row; -1 leaves a row as it is."""
        for follower in self._followers:
            follower.append(tokens)
        self.board.append(tokens)

    def fork(self, parents: Sequence[int]) -> None:
        """Rows become copies of `rows[parents]`."""
        for follower in self._followers:
            follower.fork(parents)
        self.board.fork(parents)

    def rewind(self, counts: Sequence[int], hold: int | None) -> None:
        """Take back each row's last tokens.

        Args:
            counts: How many of each row.
            hold: How many last tokens of a row are uncertain; `None` for all of them.

        Raises:
            PluginContractError: A count reaches into the prompt, or behind what was certain.
        """
        for place, count in enumerate(counts):
            self._check_rewind(place, count, hold)
        self.board.rewind(counts)
        for follower in self._followers:
            follower.rewind(counts)

    def _check_rewind(self, place: int, count: int, hold: int | None) -> None:
        row = self.board.rows[place]
        if not 0 <= count <= row.grown:
            message = f"row {place} has {row.grown} new tokens, {count} cannot be taken back"
            raise PluginContractError(message)
        if not count or hold is None:
            return
        certain = row.peak - hold
        if row.grown - count < certain or self.delivery.handed[place]:
            message = (
                f"row {place} takes back {count} tokens, but its text was certain up to token "
                f"{certain}: declare @strategy(hold={row.peak - row.grown + count}) or more"
            )
            raise PluginContractError(message)
