"""Adaptive weighted rejection sampling: expensive constraints, asked about few tokens."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gpt2sdk import Session, Step, strategy
from gpt2sdk_steering.conversion import PotentialOption, converted
from gpt2sdk_steering.outcome import check_enough, release
from gpt2sdk_steering.particles import Particles, Regime
from gpt2sdk_steering.potential import Potential, PotentialRun
from gpt2sdk_steering.rejection import Rejection
from gpt2sdk_steering.smc import EssThreshold, Limit, NumParticles, TerminateWhen
from gpt2sdk_steering.units import UnitOption, boundary


def _without_q(text: str) -> float:
    """Rule out texts with a q: a constraint to try the strategy with."""
    return -math.inf if "q" in text else 0.0


def _of_texts(thing: object) -> Potential:
    """Refuse what weighs rows only: asked about a text, it would let everything pass."""
    potential = converted(thing)
    if not potential.knows_texts:
        raise ValueError(
            "should judge texts, and this weighs next tokens of rows, which needs no rejection: "
            "give it as potential= instead, with another constraint or with strategy='smc'"
        )
    return potential


ConstraintOption = Annotated[
    Potential,
    BeforeValidator(_of_texts),
    Field(description="What rules texts out: a Potential, or a function of a text; 0 or -inf."),
]
MaxAccepts = Annotated[
    int,
    Field(ge=2, description="Tokens to accept before weighing; more make weights less noisy."),
]
MaxRejects = Annotated[
    int | None,
    Field(ge=1, description="Tokens to reject at most; a particle without any accepted one dies."),
]
Resampling = Annotated[
    Literal["multinomial", "stratified", "systematic", "residual"],
    Field(description="How children are chosen, as by `smc`."),
]


@strategy(hold=None, chooses=False, examples={"constraint": _without_q})
def awrs(  # noqa: PLR0913 - each is an option
    session: Session,
    *,
    constraint: ConstraintOption,
    num_particles: NumParticles = 16,
    potential: PotentialOption = None,
    max_accepts: MaxAccepts = 2,
    max_rejects: MaxRejects = None,
    resampling: Resampling = "systematic",
    ess_threshold: EssThreshold = 0.5,
    unit: UnitOption = "token",
    at_limit: Limit = "end",
    terminate_when: TerminateWhen = None,
) -> Iterator[Step]:
    """Draw texts from the model under a constraint that is too expensive to ask about all tokens.

    As `smc`, but tokens are drawn by rejection, without replacement, in the order of a race: the
    constraint is asked about the first one home, and the next, until all but one of `max_accepts`
    are accepted or all but one of `max_rejects` are rejected. One more is asked about, which stands
    for all that are left. Of the accepted tokens one is drawn by weight, and the particle gains
    their sum:

    ```text
    sum of p(t) over those accepted before the last  +  p(all not asked about before it), if it is
    ```

    On average this is the sum of `p` over all tokens that the constraint accepts, since each token
    asked about leaves `p(t) f(t) + (1 - p(t)) E[f(u) | u is another]`. Where none is left before
    that, it is that sum.

    Scores are those of `smc`.

    Lipkin et al., "Fast controlled generation from language models with adaptive weighted
    rejection sampling", 2025, arXiv:2504.05410. Its estimator without replacement stops at the
    second accepted token; here more may be asked for, as an ordered estimate allows (Raj, 1956,
    doi:10.1080/01621459.1956.10501326).

    Raises:
        OptionError: More completions are asked for than there are particles.
        PluginContractError: The constraint gave something else than 0 and `-inf`.
    """
    check_enough(session, "num_particles", num_particles)
    run = PotentialRun() if potential is None else potential.start(session)
    regime = Regime(num_particles, resampling, ess_threshold, 1, boundary(unit), terminate_when)
    extend = Rejection(run, constraint, at_limit, max_accepts, max_rejects)
    weighed = PotentialRun(run.next, lambda rows: extend.weigh(session, rows))
    particles = Particles(session, weighed, regime, extend)
    while session.running:
        step = particles.step()
        particles.resample()
        release(particles)
        yield step
