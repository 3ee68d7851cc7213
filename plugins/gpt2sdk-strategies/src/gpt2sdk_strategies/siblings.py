"""Siblings: several rows of each prompt that grow side by side, until they have all ended."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk import Logits, Prompt, Rows, Session


def spread(session: Session, count: int) -> None:
    """Make so many rows of each."""
    session.fork([seat for seat in range(len(session.rows)) for _ in range(count)])


def begin_anew(session: Session, stay: Sequence[int], parents: Sequence[int]) -> None:
    """Keep the rows that stay, and put rows behind them that begin at their parents' prompts.

    A parent may be any row of the prompt that is not over for good: what it has written is not
    copied, and what it drew is not drawn again.
    """
    session.fork([*stay, *parents])
    fresh = session.rows.records[len(stay) :]
    session.rewind([*[0] * len(stay), *(row.grown for row in fresh)])


def complete(session: Session) -> list[tuple[Prompt, Rows]]:
    """Return the prompts whose rows have all ended, with these rows."""
    groups = session.rows.by_prompt()
    return [(prompt, rows) for prompt, rows in groups if all(rows.finish_reason)]


def leave(session: Session, done: Sequence[tuple[Prompt, Rows]]) -> list[int]:
    """Drop the rows of these prompts; return where those that stay stood before."""
    gone = {seat for _, rows in done for seat in rows.index}
    stay = [seat for seat in range(len(session.rows)) if seat not in gone]
    session.fork(stay)
    return stay


def sound(rows: Rows) -> list[int]:
    """Return the seats of the rows that nothing was wrong with, and that nobody cancelled."""
    return [
        seat
        for seat, row in zip(rows.index, rows.records, strict=True)
        if row.failure is None and row.finish_reason != "cancelled"
    ]


def taken(logits: Logits, tokens: Sequence[int]) -> Float[Tensor, " rows"]:
    """Return the log-probability of the token that each row took; 0 where it took none, -1.

    >>> taken(torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log(), (1, -1)).exp()
    tensor([0.7500, 1.0000], dtype=torch.float64)
    """
    places = torch.tensor(tokens, device=logits.device)[:, None]
    gained = logits.double().log_softmax(-1).gather(1, places.clamp(min=0))
    return gained.where(places >= 0, 0.0)[:, 0]
