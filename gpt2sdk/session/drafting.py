"""Drafting: how many tokens to propose for which row, so that failing proposals stay cheap."""

from collections.abc import Sequence

from torch import Tensor

from gpt2sdk.components.drafter import DrafterRun
from gpt2sdk.components.rows import Rows
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.branch import Branch

MOST = 16
"""Longest proposal, in tokens: beyond it even a small model's pass gets longer."""

SHARE = 8
"""One token in vain is risked for so many that had to be fed anyway."""


class Drafting:
    """Asks a drafter, within what each row has earned.

    A row's credit is an eighth of the tokens that had to be fed to it, plus the proposals it
    accepted, less those it wasted. So a row whose proposals keep failing is hardly drafted for, and
    never feeds more than 9/8 of its tokens; one whose proposals hold is soon drafted for as far as
    it goes.
    """

    def __init__(self, run: DrafterRun, rows: Rows, branch: Branch) -> None:
        self._run = run
        self._rows = rows
        self._branch = branch

    def propose(self, seats: Sequence[int]) -> list[list[int]]:
        """Proposals for the rows at these seats; empty where nothing is worth a try."""
        proposals: list[list[int]] = [[] for _ in seats]
        limits = [self._limit(seat) for seat in seats]
        worth = [at for at, limit in enumerate(limits) if limit > 0]
        if not worth:
            return proposals
        longest = max(limits)
        some = self._rows.select([seats[at] for at in worth])
        proposed = self._run.propose(some, longest)
        if not isinstance(proposed, Tensor) or proposed.shape[:-1] != (len(worth),):
            message = f"the drafter proposed {proposed!r:.60}, expected {len(worth)} rows of tokens"
            raise PluginContractError(message)
        for at, drafted in zip(worth, proposed.tolist(), strict=True):
            tokens = drafted[: limits[at]]
            proposals[at] = tokens[: tokens.index(-1)] if -1 in tokens else tokens
        return proposals

    def _limit(self, seat: int) -> int:
        row, record = self._branch.rows[seat], self._rows.records[seat]
        if row.ahead:
            return 0
        credit = row.earned // SHARE + row.accepted - row.wasted
        room = record.prompt.max_new_tokens - record.grown - 1
        return min(credit, room, MOST)
