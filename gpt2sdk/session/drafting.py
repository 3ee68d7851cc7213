"""Drafting: how many tokens to propose for which row, so that failing proposals stay cheap."""

import math
from collections.abc import Sequence
from itertools import takewhile

from torch import Tensor

from gpt2sdk.components.drafter import DrafterRun
from gpt2sdk.components.rows import Rows
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.branch import Branch

MOST = 16
"""Longest proposal, in tokens: beyond it even a small model's pass gets longer."""

SHARE = 8
"""One token in vain is risked for at least so many that had to be fed anyway."""

ROW, TOKEN = 0.1, 0.05
"""What one more row, and one more token of a row, add to a pass of one token: measured on a CPU
core, for 14 and 124 million parameters (benchmarks/bench_drafters.py)."""


def price(rows: int, cost: float) -> float:
    """Return what a proposed token costs, in parts of what a row's next token costs without it.

    A pass takes `1 + ROW * (rows - 1)` for a token of each row, and `TOKEN` for one more. So this
    is how probable it has to be that a proposal is taken: 1 in 20 for a row by itself, 39 in 100
    among 32 rows, whose pass is computing all the time.

    Args:
        rows: How many rows the pass feeds.
        cost: Of proposing a token: see `Drafter.cost`.

    >>> [round(price(rows, 0.0), 2) for rows in (1, 8, 32, 128)], round(price(1, 0.5), 2)
    ([0.05, 0.24, 0.39, 0.47], 0.55)
    """
    return min(TOKEN * rows / (1 + ROW * (rows - 1)) + cost, 1.0)


def depth(hope: float, least: float) -> int:
    """Return how many tokens are worth proposing: the last is taken with probability `least`.

    >>> depth(0.5, 0.05), depth(0.9, 0.05), depth(0.9, 0.39), depth(0.9, 0.55), depth(0.3, 0.39)
    (4, 16, 8, 5, 0)
    """
    if least >= 1 or hope < least:
        return 0
    return MOST if hope >= 1 else min(int(math.log(least) / math.log(hope)), MOST)


class Drafting:
    """Asks a drafter, as far as it is worth it, and within what each row has earned.

    How far it is worth it, a row's hope says, and the number of rows in the pass. Where hope is
    low, a single token is tried now and then, so that a text that begins to repeat itself is
    noticed.

    A row's credit grows by up to an eighth of the tokens that had to be fed to it, and by the
    proposals it accepted; it shrinks by those it wasted, and is at most `MOST`. So a row whose
    proposals keep failing never feeds more than 9/8 of its tokens. The eighth is less where
    proposals cost more: then trying is dearer, too.
    """

    def __init__(self, run: DrafterRun, rows: Rows, branch: Branch, cost: float) -> None:
        """Start.

        Args:
            run: What proposes.
            rows: All rows of the session.
            branch: What the session's model knows of them.
            cost: Of a proposed token, in calls of that model.
        """
        self._run = run
        self._rows = rows
        self._branch = branch
        self._cost = cost

    def propose(self, seats: Sequence[int]) -> list[list[int]]:
        """Proposals for the rows at these seats; empty where nothing is worth a try."""
        proposals: list[list[int]] = [[] for _ in seats]
        least = price(len(seats), self._cost)
        limits = [self._limit(seat, least) for seat in seats]
        worth = [at for at, limit in enumerate(limits) if limit > 0]
        if not worth:
            return proposals
        longest = max(limits)
        some = self._rows.select([seats[at] for at in worth])
        proposed = self._run.propose(some, longest)
        if not _is_proposal(proposed, len(worth)):
            message = f"the drafter proposed {proposed!r:.60}, expected {len(worth)} rows of tokens"
            raise PluginContractError(message)
        known = self._branch.model.vocab_size
        for at, drafted in zip(worth, proposed.tolist(), strict=True):
            # A draft model may have more tokens than the model: it ends where it names one.
            tokens = takewhile(lambda token: 0 <= token < known, drafted[: limits[at]])
            proposals[at] = list(tokens)
        return proposals

    def _limit(self, seat: int, least: float) -> int:
        row, record = self._branch.rows[seat], self._rows.records[seat]
        row.credit = min(row.credit + row.earned * (1 - least) / SHARE, float(MOST))
        row.earned = 0
        if row.ahead:
            return 0
        room = record.prompt.max_new_tokens - record.grown - 1
        return min(int(row.credit), room, max(depth(row.hope, least), 1))


def _is_proposal(proposed: object, rows: int) -> bool:
    """Whether a drafter returned ids for so many rows."""
    return (
        isinstance(proposed, Tensor)
        and proposed.shape[:-1] == (rows,)
        and not (proposed.is_floating_point() or proposed.is_complex())
    )
