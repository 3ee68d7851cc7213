"""Splicing: how likely the rest of one text is behind the beginnings of others."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk import Rows
from gpt2sdk_steering.continuation import continuations
from gpt2sdk_steering.particles import TERMINATED, Particles
from gpt2sdk_steering.potential import PotentialRun
from gpt2sdk_steering.steps import DEAD, AtLimit, targets, weigh

Densities = Float[Tensor, " rows"]
"""A log weight for each particle of a prompt, float64."""


def splice(
    particles: Particles,
    run: PotentialRun,
    groups: Sequence[Rows],
    rests: Sequence[Sequence[int]],
    at_limit: AtLimit,
) -> list[Densities]:
    """Return what the weight of each particle gains by a rest of text behind it.

    Copies of the particles are grown by it, all at a time, and dropped. A particle that is
    finished, has no weight, ends within the rest or not at its end gains `-inf`.

    Args:
        particles: Of all prompts.
        run: What weighs texts.
        groups: The particles of the prompts in question.
        rests: The tokens that are appended to those of each.
        at_limit: What becomes of rows at their limit.
    """
    session, count = particles.session, len(particles.session.rows)
    seats = [
        (seat, list(rest))
        for rows, rest in zip(groups, rests, strict=True)
        for seat in particles.growing(rows)
        if particles.each[seat].weight > -math.inf
    ]
    session.fork([*range(count), *(seat for seat, _ in seats)])
    copies = {count + at: rest for at, (_, rest) in enumerate(seats)}
    density = _forced(particles, run, copies, at_limit)
    session.fork(range(count))
    found = {seat: density[count + at] for at, (seat, _) in enumerate(seats)}
    gains = [[found.get(seat, -math.inf) for seat in rows.index] for rows in groups]
    return [torch.tensor(line, dtype=torch.float64) for line in gains]


def _forced(
    particles: Particles, run: PotentialRun, rests: dict[int, list[int]], at_limit: AtLimit
) -> dict[int, float]:
    """Append to each of some rows its tokens, and return what its log weight gains."""
    session, rows = particles.session, particles.session.rows
    told = dict(zip(rests, weigh(run, rows.select(list(rests))), strict=True))
    density = dict.fromkeys(rests, 0.0)
    for at in range(max(map(len, rests.values()), default=0)):
        logits = session.process(session.next_logits())
        inside = [seat for seat, rest in rests.items() if at < len(rest)]
        growing = particles.growing(rows.select(inside))
        joint, _ = targets(session, run.next, logits, growing, at_limit, alpha=1.0)
        tokens = [-1] * len(rows)
        for seat in growing:
            tokens[seat] = rests[seat][at]
            density[seat] += float(joint[seat, tokens[seat]])
        dead = [seat for seat in growing if density[seat] == -math.inf]
        session.finish(dead, DEAD)
        for seat in set(inside) - set(growing):
            density[seat] = -math.inf
        session.append(tokens)
        ends = particles.regime.terminate_when
        if ends is not None:
            grown = particles.growing(rows.select(growing))
            texts = continuations(session, rows.select(grown))
            over = [seat for seat, text in zip(grown, texts, strict=True) if ends(text)]
            session.finish(over, TERMINATED)
    whole = weigh(run, rows.select(list(rests)))
    open_ones = set(particles.growing(rows))
    for seat, weight in zip(rests, whole, strict=True):
        ended = seat not in open_ones and rows.records[seat].failure is None
        density[seat] += weight - told[seat] if ended and weight > -math.inf else -math.inf
    return density
