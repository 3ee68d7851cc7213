"""Adaptive rejection: which tokens a constraint is asked about, and what they are worth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2sdk import Logits, PluginContractError, Rows, Session
from gpt2sdk_steering.continuation import Continuation, continuations
from gpt2sdk_steering.potential import Potential, PotentialRun
from gpt2sdk_steering.steps import DEAD, AtLimit, targets, weigh

Question = tuple[Continuation, int]
"""Whether a token may follow what is written."""


@dataclass(slots=True)
class Search:
    """The search for tokens of one row that the constraint accepts.

    Attributes:
        row: What the row has written.
        weights: The log weight of each token.
        times: The logarithm of when each comes home.
        most: How many are accepted, and how many rejected, at most.
        order: The first tokens home, in order.
        asked: How many of them were asked about.
        accepted: Those that were accepted, and their log weights in the estimate.
        over: Whether nothing more is asked.

    Example:
        >>> from gpt2sdk import Prompt
        >>> from gpt2sdk.testing import Letters
        >>> row = Continuation("", (), Prompt(0, (0,)), Letters())
        >>> p, times = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([1.0, 0.0, 2.0])
        >>> search = Search(row, p.log(), times, (2.0, 9.0))
        >>> while (token := search.candidate()) is not None:
        ...     search.tell(token, accepted=token != 1)
        >>> search.accepted, search.asked  # 1 is out; 0 counts 1/2, and 2 what is left, 1/4
        ({0: -0.69..., 2: -1.38...}, 3)
    """

    row: Continuation
    weights: Float[Tensor, " vocab"]
    times: Float[Tensor, " vocab"]
    most: tuple[float, float]
    order: list[int] = field(default_factory=list)
    asked: int = 0
    accepted: dict[int, float] = field(default_factory=dict)
    over: bool = False

    def candidate(self) -> int | None:
        """The next token to ask about; `None` once there is no more."""
        if self.over:
            return None
        if self.asked == len(self.order):
            wanted = min(max(32, 8 * self.asked), len(self.times))
            self.order = self.times.topk(wanted, largest=False).indices.tolist()
        token = self.order[self.asked] if self.asked < len(self.order) else None
        self.over = token is None or float(self.weights[token]) == -math.inf
        return None if self.over else token

    def tell(self, token: int, *, accepted: bool) -> None:
        """Take note of what the constraint says of the candidate."""
        accepts, rejects = len(self.accepted), self.asked - len(self.accepted)
        last = accepts + 1 >= self.most[0] or rejects + 1 >= self.most[1]
        if accepted:
            self.accepted[token] = self._left() if last else float(self.weights[token])
        self.asked += 1
        self.over = last

    def _left(self) -> float:
        """The log weight of all tokens that were not asked about."""
        return float(self.weights.index_fill(0, self._seen(), -math.inf).logsumexp(0))

    def _seen(self) -> Tensor:
        return torch.tensor(self.order[: self.asked], dtype=torch.int64)


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
        self._most = float(max_accepts), float(max_rejects or math.inf)

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
            kept = list(search.accepted)
            if kept:
                weights = torch.tensor(list(search.accepted.values()), dtype=torch.float64)
                times = rows.select([place]).exponentials(kept, "awrs/choice")[0].double().cpu()
                tokens[growing[at]] = kept[int((weights - times.log()).argmax())]
                gains[at] = float(weights.logsumexp(0))
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
        return [Search(row, weight, time, self._most) for row, weight, time in lines]

    def _search(self, searches: Sequence[Search]) -> None:
        """Ask about one token of each row at a time; what two rows ask is asked once."""
        known: dict[Question, bool] = {}
        while not all(each.over for each in searches):
            asked = [(each, token) for each in searches if (token := each.candidate()) is not None]
            self._ask(asked, known)
            for search, token in asked:
                search.tell(token, accepted=known[(search.row, token)])

    def _ask(self, asked: Sequence[tuple[Search, int]], known: dict[Question, bool]) -> None:
        """Ask the constraint about tokens that it was not asked about yet."""
        questions = dict.fromkeys((search.row, token) for search, token in asked)
        new = [each for each in questions if each not in known]
        ends = [each for each in new if each[1] in each[0].prompt.eos_token_ids]
        others = [each for each in new if each[1] not in each[0].prompt.eos_token_ids]
        verdicts = [
            *(
                self._constraint.batch_complete([row.then(end) for row, end in ends])
                if ends
                else []
            ),
            *(self._constraint.batch_prefix([row.then(t) for row, t in others]) if others else []),
        ]
        for question, verdict in zip([*ends, *others], verdicts, strict=True):
            known[question] = _accepts(verdict)


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
