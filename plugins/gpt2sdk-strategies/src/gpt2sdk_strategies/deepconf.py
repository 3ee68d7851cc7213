"""DeepConf: completions vote with their confidence, and those that lose it are cut short."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpt2sdk import COUNT_RULE, Logits, Rows, Session, Step, strategy
from gpt2sdk_strategies.ballots import Ballot, ask, ended, hand_in, representatives
from gpt2sdk_strategies.poll import Answer, Poll
from gpt2sdk_strategies.siblings import begin_anew, sound, spread
from gpt2sdk_strategies.wanted import check_wanted

Budget = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Completions drawn for a prompt, at most."),
]
NumWarmup = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Completions that are drawn first, and as many at a time later."),
]
Keep = Annotated[
    float,
    Field(gt=0.0, le=1.0, description="Part of the first completions that are confident enough."),
]
GroupSize = Annotated[int, Field(ge=1, description="Tokens over which confidence is averaged.")]
ConfidenceTokens = Annotated[
    int, Field(ge=1, description="Likeliest tokens that a token's confidence is made of.")
]
Consensus = Annotated[
    float, Field(gt=0.0, le=1.0, description="Share of the votes that settles a prompt.")
]


class Trace:
    """How confident one row was.

    Attributes:
        lowest: The least mean of a full window of its tokens; infinite before there is one.

    Example:
        >>> trace = Trace(2)
        >>> for confidence in (3.0, 1.0, 2.0):
        ...     trace.take(confidence)
        >>> trace.lowest, trace.confidence
        (1.5, 1.5)
    """

    def __init__(self, size: int) -> None:
        self.lowest = inf
        self._window: deque[float] = deque(maxlen=size)

    def take(self, confidence: float) -> None:
        """Add a token's confidence."""
        self._window.append(confidence)
        if len(self._window) == self._window.maxlen:
            self.lowest = min(self.lowest, self._mean)

    @property
    def confidence(self) -> float:
        """The lowest group confidence; the mean of all where they are less than a group."""
        return self.lowest if self.lowest < inf else self._mean

    @property
    def _mean(self) -> float:
        return sum(self._window) / max(len(self._window), 1)


@dataclass
class Council:
    """What one prompt's rows have come to.

    Attributes:
        answer: Finds the answer in a text.
        keep: Part of the first rows that are confident enough.
        consensus: Share of the votes that settles the matter.
        drawn: How many rows were begun.
        poll: The votes, weighted.
        threshold: How confident a row has to be; `None` while the first ones are drawn.
    """

    answer: Callable[[str], Hashable | None] | None
    keep: float
    consensus: float
    drawn: int
    poll: Poll = field(default_factory=Poll)
    threshold: float | None = None

    @property
    def settled(self) -> bool:
        """Whether an answer has enough of the votes."""
        return self.poll.is_settled(self.consensus)

    def hear(
        self, session: Session, rows: Rows, ballots: list[Ballot], traces: Sequence[Trace]
    ) -> None:
        """Cut rows short that waver, let those that ended vote, and end all once it is settled."""
        if self.threshold is None and all(rows.finish_reason) and sound(rows):
            firsts = [traces[seat].confidence for seat in sound(rows)]
            self.threshold = quantile(firsts, 1.0 - self.keep)
        if self.threshold is None:
            return
        low = self.threshold
        session.finish([seat for seat in rows.index if traces[seat].lowest < low])
        for seat in ended(rows, ballots):
            ballots[seat].cast = True
            if traces[seat].confidence >= low:
                ask(session, [seat], ballots, self.answer)
                self.poll.vote(ballots[seat].answer, traces[seat].confidence)
        if self.settled:
            session.finish(rows.index)


@strategy(hold=None)
def deepconf(  # noqa: PLR0913 - each is an option
    session: Session,
    *,
    answer: Answer = None,
    budget: Budget = 64,
    num_warmup: NumWarmup = 16,
    keep: Keep = 0.1,
    group_size: GroupSize = 32,
    confidence_tokens: ConfidenceTokens = 20,
    consensus: Consensus = 0.95,
) -> Iterator[Step]:
    """Let completions vote by how confident the model was in them, and cut short those that waver.

    A token's confidence is `C = -(1/k) sum_j log p_j` over the `k = confidence_tokens` likeliest
    tokens at its place, by the model's own probabilities: high where one token stands out. A
    group's is the mean over `group_size` tokens in a row, and a completion's is that of its least
    confident group (of all its tokens, where they are fewer).

    The first `num_warmup` completions are written to their ends. Of their confidences the
    `1 - keep` quantile is the threshold: `keep=0.1` is DeepConf-low, 0.9 DeepConf-high. From then
    on `num_warmup` at a time are drawn, up to `budget`, and a row is cut short as soon as a
    group falls below the threshold. Completions at or above it vote for their answer, with their
    confidence as weight; the first ones too. A prompt is settled once an answer has `consensus` of
    the weight of two votes or more; rows still being written are then cut short.

    The result is as that of `self_consistency`: of the completions that voted for the winning
    answer the one drawn first, its `score` the answer's share of the weight;
    `num_return_sequences=n` returns one for each of the first `n` answers. Without any vote, the
    first completion that was not cut short, with score 0.

    Fu, Wang, Tian and Zhao, "Deep think with confidence", 2025, arXiv:2508.15260, the online
    algorithm. There groups have 2,048 tokens, more than the windows of most models here.

    Raises:
        OptionError: More completions are asked for than are drawn, or an answer cannot be compared
            with others.
    """
    check_wanted(session, budget, "budget", "completions are drawn")
    spread(session, first := min(num_warmup, budget))
    ballots = [Ballot() for _ in range(len(session.rows))]
    traces = [Trace(group_size) for _ in ballots]
    councils = {
        prompt: Council(answer, keep, consensus, first) for prompt, _ in session.rows.by_prompt()
    }
    while session.running:
        logits = session.next_logits()
        step = session.append(session.choose(session.process(logits)))
        found = confidences(logits, confidence_tokens).tolist()
        for trace, token, confidence in zip(traces, step.tokens, found, strict=True):
            if token >= 0:
                trace.take(confidence)

        stay, more = list[int](), list[int]()
        for prompt, rows in session.rows.by_prompt():
            council = councils[prompt]
            council.hear(session, rows, ballots, traces)
            if not all(rows.finish_reason):
                stay += rows.index
            elif council.settled or not sound(rows) or council.drawn >= budget:
                hand_in(session, rows, ballots, council.poll)
            else:
                wanted = min(num_warmup, budget - council.drawn)
                council.drawn += wanted
                stay += representatives(rows, ballots, council.poll)
                more += sound(rows)[:1] * wanted
        if more or len(stay) < len(ballots):
            stay.sort()
            begin_anew(session, stay, more)
            ballots = [*(ballots[seat] for seat in stay), *(Ballot() for _ in more)]
            traces = [*(traces[seat] for seat in stay), *(Trace(group_size) for _ in more)]
        yield step


def confidences(logits: Logits, confidence_tokens: int) -> Float[Tensor, " rows"]:
    """Return the confidence at each row's next place.

    Of probabilities 0.8, 0.1, 0.1 and the two likeliest: `-(log 0.8 + log 0.1) / 2`.

    >>> confidences(torch.tensor([[0.8, 0.1, 0.1], [0.4, 0.3, 0.3]]).log(), 2)
    tensor([1.2629, 1.0601])
    """
    top = logits.log_softmax(-1).topk(min(confidence_tokens, logits.shape[1])).values
    return -top.mean(-1)


def quantile(numbers: Sequence[float], part: float) -> float:
    """Return the number below which a part of these lies, interpolated between neighbours.

    >>> quantile([1.0, 2.0, 3.0, 5.0], 0.5), round(quantile([1.0, 2.0, 3.0, 5.0], 0.9), 6)
    (2.5, 4.4)
    """
    return float(torch.tensor(numbers, dtype=torch.float64).quantile(part))
