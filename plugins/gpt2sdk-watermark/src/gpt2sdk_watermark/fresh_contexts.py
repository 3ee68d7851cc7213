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
    - it did so in what a strategy took back: the next try must be able to differ.

    So a row that begins anew is marked like a new one, where it does not repeat what it tried. It
    is a function of the row alone, so it is right for forks, rewinds, drafts and rehearsals.
    """
    found: list[tuple[int, ...] | None] = []
    for row in rows.records:
        new = row.new_tokens
        context = tuple(new[len(new) - width :]) if len(new) >= width else None
        used = context and any(stands_in(tokens, context) for tokens in (new, *row.taken_back))
        found.append(None if used else context)
    return found


def stands_in(tokens: Sequence[int], context: Sequence[int]) -> bool:
    """Whether a context stands in front of a token.

    >>> stands_in([5, 6, 7], [5, 6]), stands_in([5, 5, 5], [5, 5]), stands_in([6, 7], [6, 7])
    (True, True, False)
    """
    last, width = tuple(context), len(context)
    at, end = -1, len(tokens) - width
    while True:
        try:
            at = tokens.index(last[0], at + 1, end)
        except ValueError:
            return False
        if tuple(tokens[at : at + width]) == last:
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
