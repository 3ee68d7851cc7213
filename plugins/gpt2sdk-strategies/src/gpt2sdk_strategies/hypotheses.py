"""Hypotheses of each prompt, side by side: extended, banked where they end, and kept or dropped."""

from collections.abc import Callable, Iterator
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from gpt2sdk import COUNT_RULE, Logits, Session, Step
from gpt2sdk_strategies.wanted import check_wanted

NumBeams = Annotated[int, COUNT_RULE, Field(ge=1, description="Hypotheses followed at a time.")]
LengthPenalty = Annotated[
    float,
    Field(description="Power of the length that scores are divided by; more favours longer ones."),
]
EarlyStopping = Annotated[
    bool | Literal["never"],
    Field(
        description="When a prompt is done: once num_beams ended (true), once no open beam is "
        "better at its present length (false), or could get better at full length (never)."
    ),
]


class Candidates(NamedTuple):
    """Continuations of each prompt's beams by one token, the first ones first.

    Attributes:
        ranks: What they are ordered by, descending.
        scores: Their log-probabilities; `-inf` for what is ruled out.
        parents: The rows they continue.
        tokens: Their tokens; -1 for what is ruled out.
    """

    ranks: Float[Tensor, "prompts count"]
    scores: Float[Tensor, "prompts count"]
    parents: Int[Tensor, "prompts count"]
    tokens: Int[Tensor, "prompts count"]


Extend = Callable[[Float[Tensor, "prompts beams"], Logits, int], Candidates]
"""Finds so many candidates, given the beams' scores and the log-probabilities of what is next."""


def search(
    session: Session,
    extend: Extend,
    *,
    num_beams: int,
    length_penalty: float,
    early_stopping: bool | Literal["never"],
) -> Iterator[Step]:
    """Follow `num_beams` hypotheses of each prompt, and hand in those that end.

    Each step looks at the first `max(2, 1 + end tokens) * num_beams` candidates. Those of the
    first `num_beams` that end there are completions; the first `num_beams` of those that go on are
    the next beams.
    """
    check_wanted(session, num_beams, "num_beams", "beams are followed")
    prompts = len(session.rows)
    count = max(2, 1 + session.rows.eos_token_ids.shape[1]) * num_beams
    running = torch.zeros(prompts, 1, device=session.device)
    best = torch.full((prompts, num_beams), -torch.inf, device=session.device)
    length = 0
    while session.running:
        length += 1
        logprobs = session.process(session.next_logits().log_softmax(-1))
        ranks, scores, parents, tokens = extend(running, logprobs, count)
        session.fork(parents.flatten())
        step = session.append(tokens.flatten())

        over = session.rows.finished.view_as(scores)
        ended = (scores / length**length_penalty).where(over, -torch.inf)[:, :num_beams]
        best = torch.cat([best, ended], 1).topk(num_beams).values
        _submit(session, ended, scores.shape[1])

        going = ranks.masked_fill(over, -torch.inf)
        order = going.topk(min(num_beams, scores.shape[1])).indices
        running = scores.masked_fill(over, -torch.inf).gather(1, order)
        horizon = session.rows.max_new_tokens.view_as(scores)[:, 0].double()
        unsettled = may_improve(
            running.amax(1),
            best[:, -1],
            length,
            horizon,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
        )
        session.fork(seats(order, scores.shape[1])[unsettled].flatten())
        running, best = running[unsettled], best[unsettled]
        yield step


def may_improve(
    running: Float[Tensor, "*prompts"],
    worst: Float[Tensor, "*prompts"],
    length: int,
    horizon: Float[Tensor, "*prompts"],
    *,
    length_penalty: float,
    early_stopping: bool | Literal["never"],
) -> Bool[Tensor, "*prompts"]:
    """Return where to go on, since an open beam may beat a completion.

    Args:
        running: The log-probability of the best open beam; `-inf` where there is none.
        worst: The score of the worst completion that counts; `-inf` while they are too few.
        length: How many tokens the beams have.
        horizon: How many they may have.
        length_penalty: Power of the length that scores are divided by.
        early_stopping: Whether too few completions are the only reason to go on (true), or what
            the best beam scores at its present length (false), or at full length (never).

    A beam at -8 after four tokens scores -2 now, and -0.5 at best after sixteen:

    >>> beam, two = (torch.tensor([-8.0]), torch.tensor([-2.0]), 4, torch.tensor([16.0])), []
    >>> for rule in (True, False, "never"):
    ...     two += may_improve(*beam, length_penalty=1.0, early_stopping=rule).tolist()
    >>> two
    [False, False, True]
    """
    if early_stopping != "never" or length_penalty <= 0:
        horizon = torch.full_like(horizon, length)
    better = running / horizon**length_penalty > worst
    return better & worst.isinf() if early_stopping is True else better


def likeliest(running: Float[Tensor, "prompts beams"], logprobs: Logits, count: int) -> Candidates:
    """Return the best one-token extensions.

    Two beams at -1 and -2, two tokens: the best three of -1 + [-3, -1] and -2 + [-0.5, -9].

    >>> found = likeliest(
    ...     torch.tensor([[-1.0, -2.0]]), torch.tensor([[-3.0, -1.0], [-0.5, -9.0]]), 3
    ... )
    >>> found.scores.tolist(), found.parents.tolist(), found.tokens.tolist()
    ([[-2.0, -2.5, -4.0]], [[0, 1, 0]], [[1, 0, 0]])
    """
    totals = running[:, :, None] + logprobs.view(*running.shape, -1)
    return first(totals, totals, count)


def first(
    ranks: Float[Tensor, "prompts beams vocab"],
    totals: Float[Tensor, "prompts beams vocab"],
    count: int,
) -> Candidates:
    """Return the candidates of the highest ranks, of which there may be fewer than `count`."""
    beams, vocab = totals.shape[1:]
    highest, places = ranks.flatten(1).topk(min(count, beams * vocab))
    scores = totals.flatten(1).gather(1, places)
    # What is ruled out takes no token: components are never handed one they forbade.
    tokens = (places % vocab).masked_fill(scores.isinf(), -1)
    # Where there is no candidate a row stays, to say what was wrong with it.
    stays = torch.arange(tokens.shape[1], device=places.device) % beams
    parents = torch.where(highest.isinf(), stays, places // vocab)
    return Candidates(highest, scores, seats(parents, beams), tokens)


def seats(order: Int[Tensor, "prompts count"], width: int) -> Int[Tensor, "prompts count"]:
    """Turn places among a prompt's `width` rows into places in the session.

    >>> seats(torch.tensor([[1, 0], [0, 0]]), 2).tolist()
    [[1, 0], [2, 2]]
    """
    return order + width * torch.arange(len(order), device=order.device)[:, None]


def _submit(session: Session, ended: Float[Tensor, "prompts beams"], width: int) -> None:
    """Hand in the rows that ended, each the first of its prompt's `width` rows or soon after."""
    prompts, ranks = ended.isfinite().nonzero(as_tuple=True)
    session.submit((width * prompts + ranks).tolist(), ended[prompts, ranks].tolist())
