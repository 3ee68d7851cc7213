"""Contexts of samplers that replace chance by a key: which of a row's tokens are drawn so."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from gpt2sdk import Rows

ContextWidth = Annotated[
    int, Field(ge=1, le=64, description="How many tokens before a token choose its numbers.")
]
MaxProbability = Annotated[
    float,
    Field(
        gt=0.0,
        le=1.0,
        description="Where the best token has more, nothing is marked; 1 marks everywhere.",
    ),
]


def fresh_contexts(rows: Rows, width: int) -> list[tuple[int, ...] | None]:
    """Return the last tokens of each row; `None` where its next token is to be drawn ordinarily.

    That is where

    - the row has not written a whole context: rows of one prompt begin differently;
    - it has written this context before: the same numbers again would lead it in circles, and
      the detector counts a context once;
    - it was here before, and a strategy took that back: the next try must be able to differ.

    It is a function of the row alone, so it is right for forks, rewinds, drafts and rehearsals.
    """
    found: list[tuple[int, ...] | None] = []
    for row in rows.records:
        again = row.grown < row.reached and row.draws > row.grown
        whole = row.grown >= width and not again
        new = row.new_tokens if whole else []
        context = tuple(new[len(new) - width :])
        found.append(context if whole and not stood_before(new, width) else None)
    return found


def stood_before(tokens: Sequence[int], width: int) -> bool:
    """Whether the last `width` tokens stand in front of another token as well.

    >>> stood_before([5, 6, 7, 5, 6], 2), stood_before([5, 5, 5], 2), stood_before([6, 7, 6], 2)
    (True, True, False)
    """
    last, end = list(tokens[len(tokens) - width :]), len(tokens) - width
    at = -1
    while True:
        try:
            at = tokens.index(last[0], at + 1, end)
        except ValueError:
            return False
        if list(tokens[at : at + width]) == last:
            return True


def first_uses(
    tokens: Sequence[int], start: int, width: int
) -> Iterator[tuple[Sequence[int], int]]:
    """Yield each distinct context with the token behind its first use.

    >>> list(first_uses([1, 2, 3, 2, 4], 0, 1))
    [((1,), 2), ((2,), 3), ((3,), 2)]
    """
    seen: set[tuple[int, ...]] = set()
    for at in range(start + width, len(tokens)):
        context = tuple(tokens[at - width : at])
        if context not in seen:
            seen.add(context)
            yield context, tokens[at]
