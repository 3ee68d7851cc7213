"""What becomes of particles when all of a prompt are finished."""

import math
from collections.abc import Sequence

from gpt2sdk import OptionError, Rows, Session
from gpt2sdk_steering.particles import Particle, Particles
from gpt2sdk_steering.steps import DEAD, LOST


def check_enough(session: Session, name: str, size: int) -> None:
    """Make sure that there are as many particles as completions are asked for.

    Raises:
        OptionError: There are not.
    """
    wanted = session.num_return_sequences
    if wanted > size:
        raise OptionError(
            f"num_return_sequences is {wanted}, but there are {size} particles: raise {name}, or "
            "ask for fewer",
            name="num_return_sequences",
            value=wanted,
            expected=f"1 to {size}",
        )


def release(particles: Particles, *, submit: bool = True) -> None:
    """Hand in the particles of each prompt whose rows are all finished, and drop them.

    A score is the logarithm of a particle's share of the evidence. Where none has weight, the
    row that came farthest stays as the prompt's completions, without scores.

    Args:
        particles: Of all prompts.
        submit: Whether finished particles are handed in; else only prompts that were cancelled or
            lost are dropped.
    """
    children: list[tuple[int, Particle]] = []
    for rows in particles.groups():
        growing = particles.growing(rows)
        kept = list(rows.index)
        if gone(rows):
            kept = []
        elif submit and not growing:
            kept = hand_in(particles.session, rows, particles.weights(rows).tolist())
        children += [(seat, particles.each[seat]) for seat in kept]
    if len(children) < len(particles.each):
        particles.fork(children)


def hand_in(session: Session, rows: Rows, scores: Sequence[float]) -> list[int]:
    """Hand in a prompt's finished rows that have weight; return the seats of those that stay."""
    scored = zip(rows.index, scores, strict=True)
    alive = [(seat, score) for seat, score in scored if score > -math.inf]
    session.submit([seat for seat, _ in alive], [score for _, score in alive])
    return [] if alive else [_farthest(session, rows)] * session.num_return_sequences


def gone(rows: Rows) -> bool:
    """Whether a prompt was cancelled, or lost all its rows to errors."""
    failed = all(row.failure is not None for row in rows.records)
    return failed or "cancelled" in rows.finish_reason


def _farthest(session: Session, rows: Rows) -> int:
    """The row that wrote the most while it had weight; not one that failed."""
    sound = [
        (row.grown, seat)
        for seat, row in zip(rows.index, rows.records, strict=True)
        if row.failure is None
    ]
    seat = max(sound, key=lambda each: each[0])[1]
    row = session.rows.records[seat]
    if row.finish_reason not in LOST:
        # Its last token ended it, and took its weight.
        session.rewind([int(at == seat) for at in range(len(session.rows))])
        session.finish([seat], DEAD)
    return seat
