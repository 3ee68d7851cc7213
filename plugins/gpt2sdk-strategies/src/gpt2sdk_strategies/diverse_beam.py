"""Diverse beam search: groups of beams, each kept away from what the groups before it say."""

from collections.abc import Iterator
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from gpt2sdk import COUNT_RULE, Logits, OptionError, Session, Step, strategy
from gpt2sdk_strategies.hypotheses import (
    EarlyStopping,
    LengthPenalty,
    NumBeams,
    first,
    may_improve,
)
from gpt2sdk_strategies.wanted import check_wanted

NumBeamGroups = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Groups that the beams are divided into; num_beams is a multiple."),
]
DiversityPenalty = Annotated[
    float,
    Field(
        ge=0.0,
        description="What a token costs, in nats, for each beam of an earlier group that takes it "
        "at the same step.",
    ),
]


def _rows(num_beams: int) -> int:
    # The best completions stay beside the beams until all groups are done.
    return 2 * num_beams


@strategy(hold=None, rewinds=False, draws=False, rows_per_prompt=_rows)
def diverse_beam(
    session: Session,
    *,
    num_beams: NumBeams = 4,
    num_beam_groups: NumBeamGroups = 4,
    diversity_penalty: DiversityPenalty = 0.5,
    length_penalty: LengthPenalty = 1.0,
    early_stopping: EarlyStopping = False,
) -> Iterator[Step]:
    """Search with groups of beams that avoid each other's tokens.

    Each of the `num_beam_groups` groups is a `beam` search with `num_beams / num_beam_groups`
    beams and as many completions. At every step the groups are served in order. The log-probability
    of a token is reduced, in a later group, by `diversity_penalty` for each beam of an earlier one
    that goes on with it: the Hamming diversity. The reduction stays in the scores. Of the groups'
    completions the best `num_return_sequences` are returned.

    It is what transformers 4 did for `num_beam_groups`, but for when a group is done: that is the
    rule of `beam`, which is that of transformers 5. A token that ends a row is none to go on with.

    Vijayakumar et al., "Diverse beam search", 2016, arXiv:1610.02424.

    Raises:
        OptionError: The groups are not equally large, or more completions are asked for than there
            are beams.
    """
    size, rest = divmod(num_beams, num_beam_groups)
    if rest or not size:
        raise OptionError(
            f"num_beams is {num_beams}, which {num_beam_groups} groups cannot share: make it a "
            "multiple of num_beam_groups",
            name="num_beam_groups",
            value=num_beam_groups,
            expected="a divisor of num_beams",
        )
    check_wanted(session, num_beams, "num_beams", "beams are followed")
    groups, length = num_beam_groups, 0
    count = max(2, 1 + session.rows.eos_token_ids.shape[1]) * size
    running = torch.zeros(len(session.rows), groups, 1, device=session.device)
    # The scores of each group's completions; their rows stand behind the beams, in this order.
    best = torch.full((len(session.rows), groups, size), -torch.inf, device=session.device)
    session.fork([seat for seat in range(len(session.rows)) for _ in range(groups)])
    while session.running:
        length += 1
        logprobs = session.process(session.next_logits().log_softmax(-1))[: running.numel()]
        ends = _ends(session, running, logprobs.shape[1])
        scores, parents, tokens = _extend(running, logprobs, ends, count, size, diversity_penalty)
        behind = torch.arange(running.numel(), len(session.rows), device=session.device)
        session.fork(torch.cat([parents.flatten(), behind]))
        step = session.append(torch.cat([tokens.flatten(), torch.full_like(behind, -1)]))

        places = torch.arange(len(session.rows), device=session.device)
        old = torch.zeros_like(best, dtype=torch.int64)
        old[best.isfinite()] = places[scores.numel() :]
        new = places[: scores.numel()].view_as(scores)
        over = session.rows.finished[: scores.numel()].view_as(scores)
        ended = (scores / length**length_penalty).where(over, -torch.inf)[..., :size]
        best, order = torch.cat([best, ended], -1).topk(size)
        banked = torch.cat([old, new[..., :size]], -1).gather(-1, order)

        running, order = scores.masked_fill(over, -torch.inf).topk(min(size, scores.shape[-1]))
        beams = new.gather(-1, order)
        unsettled = may_improve(
            running[..., 0],
            best[..., -1],
            length,
            session.rows.max_new_tokens[beams[..., 0]].double(),
            length_penalty=length_penalty,
            early_stopping=early_stopping,
        )
        # The beams of a group that is done, beside others that are not, can go nowhere.
        running = running.masked_fill(~unsettled[..., None], -torch.inf)
        kept, found = unsettled.any(1), best.isfinite()
        done = found & ~kept[:, None, None]
        session.submit(banked[done].tolist(), best[done].tolist())
        session.fork(torch.cat([beams[kept].flatten(), banked[kept][found[kept]]]))
        running, best = running[kept], best[kept]
        yield step


def _extend(
    running: Float[Tensor, "prompts groups beams"],
    logprobs: Logits,
    ends: Bool[Tensor, "prompts vocab"],
    count: int,
    size: int,
    diversity_penalty: float,
) -> tuple[
    Float[Tensor, "prompts groups count"],
    Int[Tensor, "prompts groups count"],
    Int[Tensor, "prompts groups count"],
]:
    """Return each group's best one-token extensions: their scores, parents and tokens.

    Of two groups of one beam at 0, and tokens at -1, -1.2 and -4, the second one takes the second,
    since the first one went on with the first:

    >>> logprobs = torch.tensor([[-1.0, -1.2, -4.0]] * 2)
    >>> scores, parents, tokens = _extend(
    ...     torch.zeros(1, 2, 1), logprobs, torch.zeros(1, 3, dtype=torch.bool), 2, 1, 0.5
    ... )
    >>> tokens.tolist(), parents.tolist()
    ([[[0, 1], [1, 0]]], [[[0, 0], [1, 1]]])
    >>> scores
    tensor([[[-1.0000, -1.2000],
             [-1.2000, -1.5000]]])
    """
    prompts, groups, beams = running.shape
    totals = running[..., None] + logprobs.view(prompts, groups, beams, -1)
    rows = torch.arange(running.numel(), device=running.device).view_as(running)
    taken = torch.zeros_like(ends, dtype=totals.dtype)
    scores, parents, tokens = [], [], []
    for group in range(groups):
        reduced = totals[:, group] - diversity_penalty * taken[:, None]
        one = first(reduced, reduced, count)
        scores.append(one.scores)
        parents.append(rows[:, group].flatten()[one.parents])
        tokens.append(one.tokens)
        found = one.tokens.clamp(min=0)
        goes = (one.tokens >= 0) & ~ends.gather(1, found)
        goes &= goes.cumsum(1) <= size
        taken.scatter_add_(1, found, goes.to(taken))
    return torch.stack(scores, 1), torch.stack(parents, 1), torch.stack(tokens, 1)


def _ends(
    session: Session, running: Float[Tensor, "prompts groups beams"], vocab: int
) -> Bool[Tensor, "prompts vocab"]:
    """Return which tokens end each prompt's rows."""
    ids = session.rows.eos_token_ids[: running.numel()].view(*running.shape, -1)[:, 0, 0]
    # One column more takes what stands for no token.
    ends = torch.zeros(len(ids), vocab + 1, dtype=torch.bool, device=ids.device)
    return ends.scatter_(1, ids.where(ids >= 0, vocab), torch.ones_like(ids, dtype=torch.bool))[
        :, :vocab
    ]
