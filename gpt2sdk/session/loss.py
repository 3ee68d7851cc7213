"""Rows that cannot go on, what they take along, and what is told of them."""

from collections.abc import Mapping
from typing import NamedTuple

from gpt2sdk.components.records import Failure
from gpt2sdk.components.rows import Board


class Loss(NamedTuple):
    """A completion that something was wrong with.

    Attributes:
        prompt: The prompt, by its index.
        step: How many tokens the row had.
        failure: What was wrong.
    """

    prompt: int
    step: int
    failure: Failure


def lose(board: Board, failures: Mapping[int, Failure], *, independent: bool) -> list[int]:
    """End rows that cannot go on, and those they take along.

    Of rows that depend on one another all of a prompt are lost with one, but not with a
    hypothesis that merely has no token to go on with.

    Args:
        board: All rows.
        failures: What is wrong with some of them, by place.
        independent: Whether rows grow without looking at one another.

    Returns:
        The places of all rows that are lost.
    """
    lost = dict(failures)
    if not independent:
        wrong = {
            board.rows[place].prompt.index: failure
            for place, failure in failures.items()
            if not failure.dead
        }
        for place, row in enumerate(board.rows):
            if row.prompt.index in wrong:
                lost[place] = wrong[row.prompt.index]
    for place, failure in lost.items():
        board.rows[place].fail(failure)
    return list(lost)
