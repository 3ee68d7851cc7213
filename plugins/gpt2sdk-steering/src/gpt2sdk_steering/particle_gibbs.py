"""Particle Gibbs: sequential Monte Carlo again and again, each around a text of the last one."""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import COUNT_RULE, Logits, Prompt, Rows, Session, Step, strategy
from gpt2sdk_steering.conversion import PotentialOption
from gpt2sdk_steering.outcome import check_enough, gone, release
from gpt2sdk_steering.particles import Particle, Particles, Regime, randoms
from gpt2sdk_steering.potential import PotentialRun
from gpt2sdk_steering.resampling import Selection, multinomial
from gpt2sdk_steering.smc import Direct, EssThreshold, Limit, NumParticles, TerminateWhen
from gpt2sdk_steering.splice import splice
from gpt2sdk_steering.steps import AtLimit
from gpt2sdk_steering.units import UnitOption, boundary

NumIterations = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="How often the particles are grown."),
]
AncestorSampling = Annotated[
    bool,
    Field(
        description="Give the retained text's rest another beginning at each resampling; costs a "
        "pass over that rest."
    ),
]


def _rows(num_particles: int, *, ancestor_sampling: bool) -> int:
    # Each particle is tried before the rest of the retained text, on a copy.
    return num_particles * (2 if ancestor_sampling else 1)


@strategy(hold=None, chooses=False, rows_per_prompt=_rows)
def particle_gibbs(  # noqa: PLR0913 - each is an option
    session: Session,
    *,
    num_particles: NumParticles = 16,
    num_iterations: NumIterations = 4,
    potential: PotentialOption = None,
    ess_threshold: EssThreshold = 0.5,
    ancestor_sampling: AncestorSampling = False,
    unit: UnitOption = "token",
    at_limit: Limit = "end",
    terminate_when: TerminateWhen = None,
) -> Iterator[Step]:
    """Draw texts from the model times a potential, by particles that are grown again and again.

    The target is that of `smc`, and one iteration is `smc` with multinomial resampling. Then one
    particle is drawn by its weight, and retained: in the next iteration it is one of the
    particles, is weighed as they are, and is never dropped. This is a chain whose states are
    distributed as the target in the end, with as few as two particles; with `smc`, few particles
    leave a bias. So it takes time for memory.

    With `ancestor_sampling` each resampling draws anew which particle the rest of the retained
    text continues, by how likely that makes it. Otherwise the retained text's beginning seldom
    changes where there are few particles and many resamplings.

    Completions are the last iteration's heaviest particles, and `exp(score)`, normalised, their
    weights; `posterior` reads them. Their sum is no estimate of the evidence after the first
    iteration.

    Andrieu, Doucet and Holenstein, 2010, doi:10.1111/j.1467-9868.2009.00736.x; ancestor sampling:
    Lindsten, Jordan and Schön, 2014, arXiv:1401.0604.

    Raises:
        OptionError: More completions are asked for than there are particles.
    """
    check_enough(session, "num_particles", num_particles)
    run = PotentialRun() if potential is None else potential.start(session)
    regime = Regime(
        num_particles,
        "multinomial",
        ess_threshold,
        boundary=boundary(unit),
        terminate_when=terminate_when,
    )
    particles = ConditionalParticles(session, run, regime, at_limit)
    particles.ancestor_sampling = ancestor_sampling
    for iteration in range(num_iterations):
        if iteration:
            particles.renew()
        while session.running:
            step = particles.step()
            particles.resample()
            release(particles, submit=iteration == num_iterations - 1)
            yield step


class ConditionalParticles(Particles):
    """Particles of which the first one of a prompt follows a retained text.

    Attributes:
        retained: The new tokens of each prompt's retained text, once there is one.
        ancestor_sampling: Whether its beginning is drawn anew at each resampling.
    """

    def __init__(
        self, session: Session, run: PotentialRun, regime: Regime, at_limit: AtLimit
    ) -> None:
        self.retained: dict[Prompt, list[int]] = {}
        self.ancestor_sampling = False
        self._at_limit: AtLimit = at_limit
        self._ancestors: dict[Prompt, int] = {}
        self._direct = Direct(run, at_limit, "particle_gibbs")
        super().__init__(session, run, regime, self._follow)

    def renew(self) -> None:
        """Retain a text of each prompt, and start its particles again.

        A prompt whose particles all died starts without one, unless not even its first token has
        weight.
        """
        children: list[tuple[int, Particle]] = []
        starts = []
        fresh = Particle(-math.log(self.regime.size))
        for prompt, rows in self.session.rows.by_prompt():
            if gone(rows):
                continue
            records, weights = rows.records, self.weights(rows)
            if weights.logsumexp(0).isfinite():
                times = randoms(rows, "retained")(len(rows)).log()
                place = int((weights - times).argmax())
                self.retained[prompt] = list(records[place].new_tokens)
            else:
                place = max(range(len(records)), key=lambda at: records[at].grown)
            children += [(rows.index[place], fresh)] * self.regime.size
            starts += [records[place].grown] * self.regime.size
        self.fork(children)
        self.session.rewind(starts)

    @override
    def resample(self) -> None:
        if self.ancestor_sampling:
            due = [
                rows
                for prompt, rows in self.session.rows.by_prompt()
                if prompt in self.retained and self.is_due(rows) and self._follows(rows)
            ]
            self._ancestors = self._draw_ancestors(due) if due else {}
        super().resample()

    @override
    def choose(self, rows: Rows, probs: Float[Tensor, " rows"], *, last: bool) -> Selection:
        """Choose all children but the first, which is the retained text's row or its ancestor."""
        prompt = rows.records[0].prompt
        if prompt not in self.retained:
            return super().choose(rows, probs, last=last)
        others = multinomial(probs, self.regime.size - 1, randoms(rows, "resampling")).parents
        first = torch.tensor([self._ancestors.get(prompt, 0)])
        size = self.regime.size
        shares = torch.full((size,), 1.0 / size, dtype=torch.float64)
        return Selection(torch.cat([first, others]), shares)

    def _follow(
        self, session: Session, logits: Logits, growing: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Draw tokens, and put the retained ones in place: what a row gains is the same."""
        drawn, gains = self._direct(session, logits, growing)
        tokens = list(drawn)
        for prompt, rows in session.rows.by_prompt():
            row = rows.records[0]
            if prompt in self.retained and self._follows(rows):
                rest = self.retained[prompt][row.grown :]
                tokens[rows.index[0]] = rest[0] if rest else tokens[rows.index[0]]
        return tokens, gains

    @staticmethod
    def _follows(rows: Rows) -> bool:
        """Whether a prompt's retained text goes on."""
        return rows.records[0].finish_reason is None

    def _draw_ancestors(self, due: Sequence[Rows]) -> dict[Prompt, int]:
        """Draw what each retained rest continues: by the weight of the whole that this makes."""
        rests = [self.retained[rows.records[0].prompt][rows.records[0].grown :] for rows in due]
        found = {}
        densities = splice(self, self._run, due, rests, self._at_limit)
        for rows, rest, density in zip(due, rests, densities, strict=True):
            prompt = rows.records[0].prompt
            times = randoms(rows, "ancestor")(len(rows)).log()
            place = int((self.weights(rows) + density - times).argmax())
            found[prompt] = place
            self.retained[prompt] = [*rows.records[place].new_tokens, *rest]
        return found
