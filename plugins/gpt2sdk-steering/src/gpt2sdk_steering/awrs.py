"""Adaptive weighted rejection sampling: expensive constraints, asked about few tokens."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import BeforeValidator, Field
from torch import Tensor

from gpt2sdk import Logits, PluginContractError, Rows, Session, Step, strategy
from gpt2sdk_steering.conversion import PotentialOption, as_potential
from gpt2sdk_steering.continuation import Continuation, continuations
from gpt2sdk_steering.outcome import check_enough, release
from gpt2sdk_steering.particles import Particles, Regime
from gpt2sdk_steering.potential import Potential, PotentialRun
from gpt2sdk_steering.smc import EssThreshold, Limit, NumParticles, TerminateWhen
from gpt2sdk_steering.steps import DEAD, AtLimit, targets, weigh
from gpt2sdk_steering.resampling import Scheme
from gpt2sdk_steering.units import UnitOption, boundary

ConstraintOption = Annotated[
    Potential,
    BeforeValidator(as_potential),
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
SchemeOption = Annotated[
    Scheme, Field(description="How children are chosen; see `smc`. Without copies, not optimal.")
]


@strategy(hold=None, chooses=False)
def awrs(
    session: Session,
    *,
    constraint: ConstraintOption,
    num_particles: NumParticles = 16,
    potential: PotentialOption = None,
    max_accepts: MaxAccepts = 2,
    max_rejects: MaxRejects = None,
    resampling: SchemeOption = "systematic",
    ess_threshold: EssThreshold = 0.5,
    unit: UnitOption = "token",
    at_limit: Limit = "end",
    terminate_when: TerminateWhen = None,
) -> Iterator[Step]:
    """Draw texts from the model under a constraint that is too expensive to ask about all tokens.

    As `smc`, but tokens are drawn by rejection, without replacement, in the order of a race: the
    constraint is asked about the first ones home until `max_accepts` are accepted. The last one
    asked about, at time `k`, is the threshold. Each accepted token `i` before it was among them
    with probability `q_i = 1 - exp(-p_i k)`; one is drawn in proportion to `p_i / q_i`, and the
    particle gains their sum, which is on average the sum of `p` over all tokens that the
    constraint accepts. Where all tokens have been asked about, it is that sum.

    Scores are those of `smc`.

    Lipkin et al., "Fast controlled generation from language models with adaptive weighted
    rejection sampling", 2025, arXiv:2504.05410, whose sampler this is. The weight is a
    Horvitz-Thompson estimate over the same race, which a bound on rejections leaves right on
    average: a token's time does not move the threshold that it comes before.

    Raises:
        OptionError: More completions are asked for than there are particles.
        PluginContractError: The constraint gave something else than 0 and `-inf`.
    """
    check_enough(session, "num_particles", num_particles)
    run = PotentialRun() if potential is None else potential.start(session)
    regime = Regime(
        num_particles, resampling, ess_threshold, 1, boundary(unit), terminate_when
    )
    extend = Rejection(run, constraint, at_limit, max_accepts, max_rejects)
    weighed = PotentialRun(run.next, lambda rows: extend.weigh(session, rows))
    particles = Particles(session, weighed, regime, extend)
    while session.running:
        step = particles.step()
        particles.resample()
        release(particles)
        yield step


@dataclass(slots=True)
class Search:
    """The search for tokens of one row that the constraint accepts.

    Attributes:
        row: What the row has written.
        weights: The log weight of each token.
        times: The logarithm of when each comes home.
        order: The first tokens home, in order.
        asked: How many of them were asked about.
        accepted: Those that were accepted.
        rejects: How many were not.
        threshold: The logarithm of the last one's time, once enough were asked about.
    """

    row: Continuation
    weights: Float[Tensor, " vocab"]
    times: Float[Tensor, " vocab"]
    order: list[int] = field(default_factory=list)
    asked: int = 0
    accepted: list[int] = field(default_factory=list)
    rejects: int = 0
    threshold: float | None = None

    def candidate(self) -> int | None:
        """The next token to ask about; `None`, and an infinite threshold, if none is left."""
        if self.asked == len(self.order):
            wanted = min(max(32, 8 * self.asked), len(self.times))
            self.order = self.times.topk(wanted, largest=False).indices.tolist()
        token = self.order[self.asked] if self.asked < len(self.order) else None
        if token is None or self.weights[token] == -torch.inf:
            self.threshold = math.inf
            return None
        self.asked += 1
        return token

    def chances(self) -> tuple[list[int], Float[Tensor, " tokens"]]:
        """The accepted tokens before the threshold, and the logarithm of `p / q` of each."""
        threshold = math.inf if self.threshold is None else self.threshold
        kept = [token for token in self.accepted if float(self.times[token]) < threshold]
        weights = self.weights[kept]
        return kept, weights - torch.log(-torch.expm1(-torch.exp(weights + threshold)))


class Rejection:
    """Draws each token by adaptive rejection."""

    def __init__(
        self,
        run: PotentialRun,
        constraint: Potential,
        at_limit: AtLimit,
        max_accepts: int,
        max_rejects: int | None,
    ) -> None:
        self._run = run
        self._constraint = constraint
        self._at_limit = at_limit
        self._max_accepts = max_accepts
        self._max_rejects = max_rejects or math.inf

    def __call__(
        self, session: Session, logits: Logits, growing: Sequence[int]
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Ask about tokens of all rows at once, until each row has enough."""
        tokens, gains = [-1] * len(logits), [-math.inf] * len(growing)
        joint, before = targets(session, self._run.next, logits, growing, self._at_limit)
        open_ones = [at for at, gain in enumerate(before) if gain > -math.inf]
        rows = session.rows.select([growing[at] for at in open_ones])
        searches = self._searches(session, rows, joint, [before[at] for at in open_ones])
        self._search(searches)
        for place, (at, search) in enumerate(zip(open_ones, searches, strict=True)):
            kept, chances = search.chances()
            if kept:
                times = rows.select([place]).exponentials(kept, "awrs/choice")[0].double().cpu()
                tokens[growing[at]] = kept[int((chances - times.log()).argmax())]
                gains[at] = float(chances.logsumexp(0))
        dead = [seat for seat, gain in zip(growing, gains, strict=True) if gain == -math.inf]
        session.finish(dead, DEAD)
        return tokens, gains

    def weigh(self, session: Session, rows: Rows) -> list[float]:
        """Weigh rows; those that no end token ended are asked about as they are."""
        weights = weigh(self._run, rows)
        cut = [
            at
            for at, reason in enumerate(rows.finish_reason)
            if reason is not None and reason != "end_token"
        ]
        if cut:
            verdicts = self._constraint.batch_complete(continuations(session, rows.select(cut)))
            for at, verdict in zip(cut, verdicts, strict=True):
                weights[at] += 0.0 if _accepts(verdict) else -math.inf
        return weights

    def _searches(
        self, session: Session, rows: Rows, joint: Logits, gains: Sequence[float]
    ) -> list[Search]:
        if not len(rows):
            return []
        index = torch.tensor(rows.index, device=joint.device)
        # Lines that nothing was weighed for are not normalised, and gain nothing.
        gained = torch.tensor(gains, dtype=torch.float64, device=joint.device)
        weights = joint[index].double().log_softmax(-1) + gained[:, None]
        numbers = rows.exponentials(range(joint.shape[1]), "awrs").double()
        times = (numbers.log() - weights).cpu()
        some = continuations(session, rows)
        lines = zip(some, weights.cpu(), times, strict=True)
        return [Search(row, weight, time) for row, weight, time in lines]

    def _search(self, searches: Sequence[Search]) -> None:
        """Ask about one token of each row at a time; what two rows ask is asked once."""
        known: dict[tuple[object, ...], bool] = {}
        while pending := [each for each in searches if each.threshold is None]:
            asked = [(each, token) for each in pending if (token := each.candidate()) is not None]
            self._ask(asked, known)
            for search, token in asked:
                accepted = known[_key(search, token)]
                search.accepted += [token] * accepted
                search.rejects += not accepted
                enough = len(search.accepted) >= self._max_accepts
                if enough or search.rejects >= self._max_rejects:
                    search.threshold = float(search.times[token])

    def _ask(
        self, asked: Sequence[tuple[Search, int]], known: dict[tuple[object, ...], bool]
    ) -> None:
        """Ask the constraint about tokens that it was not asked about yet."""
        fresh = {_key(search, token): (search, token) for search, token in asked}
        new = [(key, *pair) for key, pair in fresh.items() if key not in known]
        ending = [each for each in new if each[2] in each[1].row.prompt.eos_token_ids]
        going = [each for each in new if each[2] not in each[1].row.prompt.eos_token_ids]
        ends = [search.row.then(token) for _, search, token in ending]
        starts = [search.row.then(token) for _, search, token in going]
        verdicts = [
            *(self._constraint.batch_complete(ends) if ends else []),
            *(self._constraint.batch_prefix(starts) if starts else []),
        ]
        for (key, _, _), verdict in zip([*ending, *going], verdicts, strict=True):
            known[key] = _accepts(verdict)


def _key(search: Search, token: int) -> tuple[object, ...]:
    return search.row.prompt, search.row.tokens, token


def _accepts(verdict: float) -> bool:
    """Whether a constraint accepts.

    Raises:
        PluginContractError: It says something else than yes or no.
    """
    if verdict not in {0.0, -math.inf}:
        message = (
            f"a constraint gave the log weight {verdict}; expected 0 for what it accepts and -inf "
            "for what it rules out, and weights in potential="
        )
        raise PluginContractError(message)
    return verdict == 0.0
