"""Self-consistency: many ways to an answer are drawn, and the answer most of them give wins."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from gpt2sdk import COUNT_RULE, OptionError, Session, Step, strategy
from gpt2sdk_strategies.ballots import Ballot, ask, ended, hand_in
from gpt2sdk_strategies.poll import Answer, Poll, beta_confidence
from gpt2sdk_strategies.siblings import begin_anew, complete, sound, spread
from gpt2sdk_strategies.wanted import check_wanted

Budget = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Completions drawn for a prompt, at most."),
]
StopRule = Annotated[
    Literal["all", "supermajority", "beta"],
    Field(
        description="When a prompt is settled: after budget votes (all); once an answer has "
        "the supermajority of 2, 4, 8, … votes; or once the lead is as sure as confidence (beta)."
    ),
]
Supermajority = Annotated[
    float, Field(gt=0.0, le=1.0, description="Share of the votes that settles a prompt early.")
]
Confidence = Annotated[
    float, Field(gt=0.5, lt=1.0, description="Probability that settles a prompt early.")
]

_SUPERMAJORITY = 0.75
_CONFIDENCE = 0.95


@strategy(hold=None)
def self_consistency(
    session: Session,
    *,
    answer: Answer = None,
    budget: Budget = 16,
    stop_rule: StopRule = "all",
    supermajority: Supermajority = _SUPERMAJORITY,
    confidence: Confidence = _CONFIDENCE,
) -> Iterator[Step]:
    """Draw completions, let them vote, and return one that gives the answer with most votes.

    `answer(text)` finds a completion's answer; completions without one do not vote. The result is
    the completion drawn first of those with the winning answer, and its `score` the answer's share
    of the votes that were cast. With `num_return_sequences=n` the `n` answers with most votes are
    returned, one completion for each, best first; there may be fewer. So all shares can be had.
    Where nobody has an answer, the first completion is returned, with score 0.

    `stop_rule` says how many are drawn:

    - `"all"`: `budget`.
    - `"supermajority"`: two at first. If no answer has `supermajority` of two votes or more, as
      many again are drawn as there are, up to `budget`.
    - `"beta"`: `budget` at once, until the first answer is ahead of the second with
      probability `confidence`: `P(p > 1/2)` for `p` of `Beta(v1 + 1, v2 + 1)`. Those that are
      still being written are then cut short, and have no vote.

    Wang et al., "Self-consistency improves chain of thought reasoning in language models", 2022,
    arXiv:2203.11171; the Beta rule: Aggarwal et al., "Let's sample step by step", 2023,
    arXiv:2305.11860.

    Raises:
        OptionError: More completions are asked for than are drawn, `supermajority` or `confidence`
            is given where another rule counts, or an answer cannot be compared with others.
    """
    check_wanted(session, budget, "budget", "completions are drawn")
    _check_counts(stop_rule, "supermajority", supermajority, _SUPERMAJORITY, "supermajority")
    _check_counts(stop_rule, "confidence", confidence, _CONFIDENCE, "beta")
    spread(session, min(2, budget) if stop_rule == "supermajority" else budget)
    ballots = [Ballot() for _ in range(len(session.rows))]
    polls = {prompt: Poll() for prompt, _ in session.rows.by_prompt()}
    while session.running:
        step = session.append(session.choose(session.process(session.next_logits())))
        for prompt, rows in session.rows.by_prompt():
            for seat in ended(rows, ballots):
                ask(session, [seat], ballots, answer)
                polls[prompt].vote(ballots[seat].answer)
            votes = map(round, polls[prompt].leads)
            if stop_rule == "beta" and beta_confidence(*votes) >= confidence:
                session.finish(rows.index)
        over, more = set[int](), list[int]()
        for prompt, rows in complete(session):
            poll, drawn = polls[prompt], len(rows)
            settled = poll.is_settled(supermajority)
            if stop_rule != "supermajority" or settled or not sound(rows) or drawn == budget:
                hand_in(session, rows, ballots, poll)
                over.update(rows.index)
            else:
                more += sound(rows)[:1] * min(drawn, budget - drawn)
        if over or more:
            stay = [seat for seat in range(len(session.rows)) if seat not in over]
            begin_anew(session, stay, more)
            ballots = [*(ballots[seat] for seat in stay), *(Ballot() for _ in more)]
        yield step


def _check_counts(stop_rule: str, option: str, value: float, default: float, rule: str) -> None:
    """Refuse an option that nothing would come of.

    Raises:
        OptionError: It is given, and counts under another rule.
    """
    if value != default and stop_rule != rule:
        raise OptionError(
            f'{option} counts with stop_rule="{rule}", but stop_rule is {stop_rule!r}: give that '
            f"rule, or leave {option} out",
            name=option,
            value=value,
            expected=f'stop_rule="{rule}"',
        )
