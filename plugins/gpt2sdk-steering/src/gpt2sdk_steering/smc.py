"""Sequential Monte Carlo: weighted particles that grow, are weighed, and are resampled."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from pydantic import Field

from gpt2sdk import COUNT_RULE, Logits, OptionError, Session, Step, strategy
from gpt2sdk_steering.continuation import Continuation
from gpt2sdk_steering.conversion import PotentialOption
from gpt2sdk_steering.outcome import check_enough, release
from gpt2sdk_steering.particles import Particles, Regime
from gpt2sdk_steering.potential import PotentialRun
from gpt2sdk_steering.resampling import Scheme
from gpt2sdk_steering.steps import DEAD, AtLimit, targets
from gpt2sdk_steering.units import UnitOption, boundary

NumParticles = Annotated[int, COUNT_RULE, Field(ge=1, description="Weighted rows of each prompt.")]
Resampling = Annotated[
    Scheme,
    Field(
        description="How children are chosen: each by itself (multinomial), with less noise "
        "(stratified, systematic, residual), or none twice (optimal, for beam_factor above 1)."
    ),
]
EssThreshold = Annotated[
    float,
    Field(
        ge=0.0,
        le=1.0,
        description="Resample when the effective sample size is below this part of the particles; "
        "0 never does.",
    ),
]
BeamFactor = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Copies of each particle that grow before some are chosen."),
]
Limit = Annotated[
    AtLimit,
    Field(
        description="What becomes of rows at max_new_tokens: their last token is an end token, "
        "and weighs what it is worth there (end); or they are finished as they are (cut)."
    ),
]
TerminateWhen = Annotated[
    Callable[[Continuation], bool] | None,
    Field(description="A function of the continuation: whether it is finished as it is."),
]


def _rows(num_particles: int, beam_factor: int) -> int:
    return num_particles * beam_factor


@strategy(hold=None, chooses=False, rows_per_prompt=_rows)
def smc(  # noqa: PLR0913 - each is an option
    session: Session,
    *,
    num_particles: NumParticles = 16,
    potential: PotentialOption = None,
    resampling: Resampling = "systematic",
    ess_threshold: EssThreshold = 0.5,
    beam_factor: BeamFactor = 1,
    unit: UnitOption = "token",
    at_limit: Limit = "end",
    terminate_when: TerminateWhen = None,
) -> Iterator[Step]:
    """Draw texts from the model times a potential, by weighted particles.

    The target is `p(text) * exp(complete(text))`, over texts that are finished: `p` is what the
    call's processors make of the model, step by step. Each particle writes a unit, is weighed by
    what its potential says then, less what it said before, and where weights are uneven,
    particles are replaced by copies of others in proportion to their weights.

    A completion's `score` is the logarithm of its share of the evidence: with as many completions
    as particles `exp(score)` adds up to an estimate of the target's normalising constant, which is
    right on average, and divided by it, it is the completion's weight. `posterior` does so. With
    fewer completions the heaviest come back. Where no particle has weight, a prompt has the
    text that came farthest, with `finish_reason="zero_weight"` and no score.

    With `at_limit="end"`, the default, and an end token, the target is conditioned on texts that
    end within `max_new_tokens`. Stopping criteria and `terminate_when` finish texts as they are.
    Where processors rule out every end token at the limit, as `suppress_tokens` can, and
    `min_new_tokens` of as many as `max_new_tokens`, no text is left: the reason is `"ruled_out"`
    then, and `at_limit="cut"` what is wanted.

    Lew, Zhi-Xuan, Grand and Mansinghka, "Sequential Monte Carlo steering of large language models
    using probabilistic programs", 2023, arXiv:2306.03081; Loula et al., 2025, arXiv:2504.13139.
    Unlike there, numbers are the rows', so a prompt's particles do not depend on its batch.

    Raises:
        OptionError: More completions are asked for than there are particles, or `resampling` is
            `"optimal"` with nothing to choose from.
    """
    check_enough(session, "num_particles", num_particles)
    if resampling == "optimal" and beam_factor == 1:
        raise OptionError(
            'resampling="optimal" chooses among more particles than it keeps, none of them twice: '
            "give a beam_factor of 2 or more",
            name="beam_factor",
            value=beam_factor,
            expected="2 or more",
        )
    run = PotentialRun() if potential is None else potential.start(session)
    regime = Regime(
        num_particles, resampling, ess_threshold, beam_factor, boundary(unit), terminate_when
    )
    particles = Particles(session, run, regime, Direct(run, at_limit))
    while session.running:
        step = particles.step()
        particles.resample()
        release(particles)
        yield step


class Direct:
    """Draws each token from the model times the potential of next tokens, where it is known."""

    def __init__(self, run: PotentialRun, at_limit: AtLimit, purpose: str = "smc") -> None:
        self._run = run
        self._at_limit = at_limit
        self._purpose = purpose

    def __call__(
        self, session: Session, logits: Logits, growing: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Race the tokens; the gain is the total weight of all next tokens."""
        joint, gains = targets(session, self._run.next, logits, growing, self._at_limit)
        dead = [seat for seat, gain in zip(growing, gains, strict=True) if gain == float("-inf")]
        session.finish(dead, DEAD)
        return session.race(joint, self._purpose).tolist(), gains
