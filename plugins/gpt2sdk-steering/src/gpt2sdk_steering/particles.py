"""Particles: weighted rows that grow, are weighed, and give way to copies of others."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk import Logits, Rows, Session, Step
from gpt2sdk_steering.continuation import Continuation, continuations
from gpt2sdk_steering.potential import PotentialRun
from gpt2sdk_steering.resampling import SCHEMES, Randoms, Scheme, Selection
from gpt2sdk_steering.steps import DEAD, weigh
from gpt2sdk_steering.units import Boundary

TERMINATED = "terminated"
"""The finish reason of a row that `terminate_when` ended."""


@dataclass(frozen=True, slots=True)
class Particle:
    """What is known of one row.

    Attributes:
        weight: The logarithm of its share of the evidence.
        told: What its potential said last of the row as it stood, which is in `weight`.
        arrived: Whether it has written a unit, and waits for the others of its prompt.
    """

    weight: float
    told: float = 0.0
    arrived: bool = False


class Extend(Protocol):
    """Chooses the next tokens of particles."""

    def __call__(
        self, session: Session, logits: Logits, growing: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Return a token for each row of the session, and what each growing one's weight gains.

        Rows that cannot go on are ended here, and gain `-inf`.

        Args:
            session: Whose rows they are.
            logits: What the chain made of all rows.
            growing: The seats of those that are to grow.
        """


@dataclass(frozen=True, slots=True)
class Regime:
    """How particles are compared.

    Attributes:
        size: How many there are of each prompt.
        resampling: How children are chosen.
        ess_threshold: They are when the effective sample size is below this part of `size`.
        beam_factor: How many copies of each grow before some are chosen.
        boundary: Where units end; `None` where every token is one.
        terminate_when: Where texts end besides.
    """

    size: int
    resampling: Scheme = "systematic"
    ess_threshold: float = 0.5
    beam_factor: int = 1
    boundary: Boundary | None = None
    terminate_when: Callable[[Continuation], bool] | None = None


class Particles:
    """The particles of all prompts of a session: those of a prompt stand side by side.

    The weights of a prompt's particles add up to an unbiased estimate of its evidence, the
    normalising constant of what they are drawn from.

    Attributes:
        session: Whose rows they are.
        regime: How they are compared.
        each: What is known of each row.
    """

    def __init__(self, session: Session, run: PotentialRun, regime: Regime, extend: Extend) -> None:
        """Fork the first particles.

        Args:
            session: With one row for each prompt.
            run: What weighs rows as they stand.
            regime: How they are compared.
            extend: What chooses tokens.
        """
        self.session = session
        self.regime = regime
        self._run = run
        self._extend = extend
        self.each: list[Particle] = []
        self.spread(range(len(session.rows)))

    def spread(self, seats: Sequence[int]) -> None:
        """Let copies of these rows be all particles there are, with even weights."""
        count = self.regime.size * self.regime.beam_factor
        self.fork([(seat, Particle(-math.log(count))) for seat in seats for _ in range(count)])

    def fork(self, children: Sequence[tuple[int, Particle]]) -> None:
        """Rows become copies, each with what is known of it; nothing moves where all stay."""
        parents = [parent for parent, _ in children]
        if parents != list(range(len(self.session.rows))):
            self.session.fork(parents)
        self.each = [particle for _, particle in children]

    def groups(self) -> Iterator[Rows]:
        """The rows of each prompt."""
        return (group for _, group in self.session.rows.by_prompt())

    def weights(self, rows: Rows) -> Float[Tensor, " rows"]:
        """Log weights of some particles, float64."""
        weights = [self.each[seat].weight for seat in rows.index]
        return torch.tensor(weights, dtype=torch.float64)

    def step(self) -> Step:
        """Let each particle inside a unit take a token, and weigh those whose unit ends."""
        session = self.session
        logits = session.process(session.next_logits())
        growing = [seat for seat in self.growing(session.rows) if not self.each[seat].arrived]
        self._bury_failed()
        tokens, gains = self._extend(session, logits, growing)
        self.gain(growing, gains)
        moving = set(growing)
        step = session.append([token if at in moving else -1 for at, token in enumerate(tokens)])
        # All rows of a prompt go on with numbers behind those that any has had, as after any fork:
        # so it makes no difference when other prompts are resampled.
        session.fork(range(len(session.rows)))
        self._arrive([seat for seat in growing if step.tokens[seat] >= 0])
        return step

    def gain(self, seats: Sequence[int], gains: Sequence[float]) -> None:
        """Let weights grow; rows that have none left end."""
        dead = []
        for seat, gain in zip(seats, gains, strict=True):
            if gain:
                weight = self.each[seat].weight + gain
                self.each[seat] = replace(self.each[seat], weight=weight)
                if weight == -math.inf:
                    dead.append(seat)
        if dead:
            self.session.finish(dead, DEAD)

    def resample(self) -> None:
        """Choose who goes on, of each prompt whose growing particles have all written a unit."""
        children: list[tuple[int, Particle]] = []
        for rows in self.groups():
            if all(self.each[seat].arrived for seat in self.growing(rows)):
                children += self._next_generation(rows)
            else:
                children += [(seat, self.each[seat]) for seat in rows.index]
        self.fork(children)

    @staticmethod
    def growing(rows: Rows) -> list[int]:
        """The seats of those rows that are unfinished."""
        reasons = zip(rows.index, rows.finish_reason, strict=True)
        return [seat for seat, reason in reasons if reason is None]

    def is_due(self, rows: Rows) -> bool:
        """Whether a prompt's growing particles have all written a unit, and some are to go.

        There are too many of them, or their weights are too uneven to go on with.
        """
        growing, weights = self.growing(rows), self.weights(rows)
        if not (weights.logsumexp(0).isfinite() and all(self.each[at].arrived for at in growing)):
            return False
        if len(rows) > self.regime.size:
            return True
        size = 1.0 / float(weights.softmax(0).square().sum())
        return bool(growing) and size < self.regime.ess_threshold * len(rows)

    def choose(self, rows: Rows, probs: Float[Tensor, " rows"], *, last: bool) -> Selection:
        """Choose `size` children of a prompt's particles.

        Args:
            rows: The particles.
            probs: Their normalised weights.
            last: Whether none of them grows any more.
        """
        purpose = "resampling/last" if last else "resampling"
        return SCHEMES[self.regime.resampling](probs, self.regime.size, randoms(rows, purpose))

    def _next_generation(self, rows: Rows) -> list[tuple[int, Particle]]:
        """A prompt's particles after a unit: the same, or chosen ones with new weights."""
        seats, growing = list(rows.index), set(self.growing(rows))
        chosen = [(seat, self.each[seat]) for seat in seats]
        if self.is_due(rows):
            weights = self.weights(rows)
            total = weights.logsumexp(0)
            parents, shares = self.choose(rows, (weights - total).exp(), last=not growing)
            new = (total + shares.log()).tolist()
            chosen = [
                (seats[parent], Particle(weight, self.each[seats[parent]].told))
                for parent, weight in zip(parents.tolist(), new, strict=True)
            ]
        copies = self.regime.beam_factor
        found = []
        for seat, particle in chosen:
            many = copies if seat in growing else 1
            weight = particle.weight - math.log(many)
            found += [(seat, Particle(weight, particle.told))] * many
        return found

    def _bury_failed(self) -> None:
        """Take the weight of rows that the chain left no token, or that something is wrong with."""
        for seat, row in enumerate(self.session.rows.records):
            if row.failure is not None:
                self.each[seat] = replace(self.each[seat], weight=-math.inf)

    def _arrive(self, grown: Sequence[int]) -> None:
        """Weigh the rows that end a unit or a text with their last token."""
        session, regime = self.session, self.regime
        asked = self.growing(session.rows.select(grown))
        ends = set(asked)
        if regime.boundary is not None or regime.terminate_when is not None:
            told = zip(asked, continuations(session, session.rows.select(asked)), strict=True)
            texts = dict(told)
            if regime.terminate_when is not None:
                over = [seat for seat in asked if regime.terminate_when(texts[seat])]
                session.finish(over, TERMINATED)
            if regime.boundary is not None:
                ends = {seat for seat in asked if regime.boundary(texts[seat])}
        growing = set(self.growing(session.rows.select(grown)))
        due = [seat for seat in grown if seat in ends or seat not in growing]
        weights = weigh(self._run, session.rows.select(due))
        gains = []
        for seat, told_now in zip(due, weights, strict=True):
            particle = self.each[seat]
            gains.append(told_now - particle.told if told_now > -math.inf else told_now)
            self.each[seat] = replace(particle, told=told_now, arrived=True)
        self.gain(due, gains)


def randoms(rows: Rows, purpose: str) -> Callable[[int], Randoms]:
    """Return what gives a prompt's particles so many numbers, none used before in a step."""
    row = rows.select([0])
    return lambda count: row.exponentials(range(count), purpose)[0].double().cpu()
