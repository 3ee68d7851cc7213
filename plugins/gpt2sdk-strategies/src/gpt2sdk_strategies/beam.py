"""Beam search: several hypotheses at a time, the best of them kept at every step."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from gpt2sdk import Logits, OptionError, Session, Step, strategy

NumBeams = Annotated[int, Field(ge=1, description="Hypotheses followed at a time.")]
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


@strategy(hold=None, draws=False)
def beam(
    session: Session,
    *,
    num_beams: NumBeams = 4,
    length_penalty: LengthPenalty = 1.0,
    early_stopping: EarlyStopping = False,
) -> Iterator[Step]:
    """Follow the likeliest continuations, and return the best of those that ended.

    A continuation of `n` tokens scores `sum_i log p(token_i) / n ** length_penalty`. Each step
    extends every beam by every token and looks at the `max(2, 1 + end tokens) * num_beams` best
    candidates. Those of the first `num_beams` that end there are completions; the best
    `num_beams` of those that go on are the next beams. A prompt is done when no beam can beat
    its `num_beams` best completions, by the rule of `early_stopping`.

    Tokens and scores are those of transformers' `generate(num_beams=...)`: processors are given
    log-probabilities, nothing renormalises, and ties fall as `torch.topk` over beams and
    vocabulary lets them fall. Where so much is ruled out that there are fewer continuations than
    beams, a prompt has fewer completions; transformers fills up with ruled-out ones.

    Graves, "Sequence transduction with recurrent neural networks", 2012, arXiv:1211.3711. The
    length penalty is that of Wu et al., 2016, arXiv:1609.08144, without its constant.

    Raises:
        OptionError: More completions are asked for than there are beams.
    """
    if session.num_return_sequences > num_beams:
        raise OptionError(
            f"num_return_sequences is {session.num_return_sequences}, but only {num_beams} beams "
            "are followed: raise num_beams, or ask for fewer",
            name="num_return_sequences",
            value=session.num_return_sequences,
            expected=f"1 to {num_beams}",
        )
    prompts = len(session.rows)
    candidates = max(2, 1 + session.rows.eos_token_ids.shape[1]) * num_beams
    running = torch.zeros(prompts, 1, device=session.device)
    best = torch.full((prompts, num_beams), -torch.inf, device=session.device)
    length = 0
    while session.running:
        length += 1
        logprobs = session.process(session.next_logits().log_softmax(-1))
        scores, parents, tokens = extend(running, logprobs, candidates)
        session.fork(parents.flatten())
        step = session.append(tokens.flatten())

        over = session.rows.finished.view_as(scores)
        ended = (scores / length**length_penalty).where(over, -torch.inf)[:, :num_beams]
        best = torch.cat([best, ended], 1).topk(num_beams).values
        _submit(session, ended, scores.shape[1])

        going = scores.masked_fill(over, -torch.inf)
        running, order = going.topk(min(num_beams, scores.shape[1]))
        horizon = session.rows.max_new_tokens.view_as(scores)[:, 0].double()
        if early_stopping != "never" or length_penalty <= 0:
            horizon = torch.full_like(horizon, length)
        unsettled = running[:, 0] / horizon**length_penalty > best[:, -1]
        if early_stopping is True:
            unsettled &= best[:, -1].isinf()
        session.fork(_places(order, scores.shape[1])[unsettled].flatten())
        running, best = running[unsettled], best[unsettled]
        yield step


def extend(
    running: Float[Tensor, "prompts beams"], logprobs: Logits, count: int
) -> tuple[
    Float[Tensor, "prompts count"], Int[Tensor, "prompts count"], Int[Tensor, "prompts count"]
]:
    """Return the best one-token extensions: their scores, their parents' rows and their tokens.

    Two beams at -1 and -2, two tokens: the best three of -1 + [-3, -1] and -2 + [-0.5, -9].

    >>> scores, parents, tokens = extend(
    ...     torch.tensor([[-1.0, -2.0]]), torch.tensor([[-3.0, -1.0], [-0.5, -9.0]]), 3
    ... )
    >>> scores.tolist(), parents.tolist(), tokens.tolist()
    ([[-2.0, -2.5, -4.0]], [[0, 1, 0]], [[1, 0, 0]])
    """
    vocab = logprobs.shape[1]
    totals = (running[:, :, None] + logprobs.view(*running.shape, vocab)).flatten(1)
    scores, places = totals.topk(min(count, totals.shape[1]))
    # What is ruled out takes no token: components are never handed one they forbade.
    tokens = (places % vocab).masked_fill(scores.isinf(), -1)
    return scores, _places(places // vocab, running.shape[1]), tokens


def _places(order: Int[Tensor, "prompts count"], width: int) -> Int[Tensor, "prompts count"]:
    """Turn places among a prompt's `width` rows into places in the session."""
    return order + width * torch.arange(len(order), device=order.device)[:, None]


def _submit(session: Session, ended: Float[Tensor, "prompts beams"], width: int) -> None:
    """Hand in the rows that ended, each the first of its prompt's `width` rows or soon after."""
    prompts, ranks = ended.isfinite().nonzero(as_tuple=True)
    session.submit((width * prompts + ranks).tolist(), ended[prompts, ranks].tolist())
