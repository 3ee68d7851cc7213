"""Ballots: what each of a prompt's rows votes for, and which rows are handed in for it."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from gpt2sdk import Rows, Session
from gpt2sdk_strategies.poll import Poll, answer_of
from gpt2sdk_strategies.siblings import sound


@dataclass
class Ballot:
    """A row's vote.

    Attributes:
        cast: Whether the row has ended, and was asked.
        answer: What it votes for; `None` for nothing.
    """

    cast: bool = False
    answer: Hashable | None = None


def ended(rows: Rows, ballots: Sequence[Ballot]) -> list[int]:
    """Return the seats of the rows that have ended, and were not asked yet."""
    reasons = dict(zip(rows.index, rows.finish_reason, strict=True))
    return [seat for seat in sound(rows) if reasons[seat] and not ballots[seat].cast]


def ask(
    session: Session,
    seats: Sequence[int],
    ballots: list[Ballot],
    answer: Callable[[str], Hashable | None] | None,
) -> None:
    """Let these rows fill in their ballots."""
    for seat, each in zip(seats, session.completions(seats), strict=True):
        ballots[seat] = Ballot(cast=True, answer=answer_of(answer, each.text))


def representatives(rows: Rows, ballots: Sequence[Ballot], poll: Poll) -> list[int]:
    """Return the first row that voted for each answer, in the order of the answers' votes.

    Where there is no vote, it is the first row that was not cut short.
    """
    found: dict[Hashable, int] = {}
    for seat in rows.index:
        if ballots[seat].answer is not None:
            found.setdefault(ballots[seat].answer, seat)
    if found:
        return [found[each] for each in poll.ranking]
    reasons = dict(zip(rows.index, rows.finish_reason, strict=True))
    return [seat for seat in sound(rows) if reasons[seat] != "strategy"][:1]


def hand_in(session: Session, rows: Rows, ballots: Sequence[Ballot], poll: Poll) -> None:
    """Submit a row for each answer, with its share of the votes; without any, the first row."""
    seats = representatives(rows, ballots, poll)
    session.submit(seats, [poll.share(ballots[seat].answer) for seat in seats])
