"""Components in situations: what they answer, also after detours that were taken back."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.session import Session
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.situations import END, VOCAB_SIZE, Situation, step_logits
from gpt2sdk.testing.trial import grow, open_session

PROPOSALS = 4
"""How many tokens drafters are asked for."""

_JUNK = 20
_STEPS = 5

_ROLES = (LogitsProcessor, Sampler, StoppingCriterion, Drafter)
"""What looks at rows."""

Act = Callable[[Tensor, Rows], Tensor]


def answer(
    component: Component,
    situation: Situation,
    *,
    role: type[Component] | None = None,
    device: torch.device | str = "cpu",
    detour: bool = False,
) -> Tensor:
    """Return the tensor that a component answers: logits, tokens, a mask or proposals.

    Args:
        component: It is started in a session of its own.
        situation: The rows and logits it is given.
        role: Which of its roles is asked; its first one by default.
        device: Where everything is.
        detour: Whether rows append other tokens first and take them back, which leaves something
            else than zeros behind their ends.

    Raises:
        AssertionError: It answers something else.
    """
    prompts = [row.prompt for row in situation.rows]
    session = open_session(prompts, vocab_size=VOCAB_SIZE, eos_token_ids=[END], device=device)
    role = role or next((each for each in _ROLES if isinstance(component, each)), Component)
    act = begin(component, session, role)
    grow(session, [row.new_tokens for row in situation.rows])
    if detour:
        go_back_and_forth(session)
    session.next_logits()
    found: object = act(situation.logits.to(device), session.rows.bound(component.name))
    promise(isinstance(found, Tensor), f"{component!r} returns {found!r:.60}: {_wanted(role)}")
    return cast("Tensor", found)


def _wanted(role: type[Component]) -> str:
    """Say what a role's answers are."""
    if role is LogitsProcessor:
        return "expected a tensor of logits, like the one it is given"
    if role is Sampler:
        return "expected a tensor of token ids, one for each row"
    if role is StoppingCriterion:
        return "expected a bool tensor with one entry for each row"
    return "expected a tensor of token ids with a line for each row"


def begin(component: Component, session: Session, role: type[Component]) -> Act:
    """Start a component in a role, and return what answers, given logits and rows."""
    if role is LogitsProcessor and isinstance(component, LogitsProcessor):
        return component.start(session).process
    if role is Sampler and isinstance(component, Sampler):
        return component.start(session).choose
    if role is StoppingCriterion and isinstance(component, StoppingCriterion):
        criterion = component.start(session)
        return lambda _, rows: cast("Tensor", as_mask(criterion.check(rows)))
    if role is Drafter and isinstance(component, Drafter):
        drafter = component.start(session)
        return lambda _, rows: drafter.propose(rows, PROPOSALS)
    message = f"{component!r} has no role that looks at rows"
    raise TypeError(message)


def as_mask(ended: object) -> object:
    """Return a criterion's answer as a mask, where it has a reason for each row that ends."""
    if isinstance(ended, list):
        return torch.tensor([reason is not None for reason in ended], dtype=torch.bool)
    return ended


def story(component: Component, situation: Situation, *, detours: bool = False) -> list[object]:
    """Return what a component did at each of some steps, at work in a session.

    Args:
        component: A processor, sampler or criterion.
        situation: What the rows begin with.
        detours: Whether at each step rows are copied and the copies go on, and rows go on and take
            it back, before the step is really made.
    """
    prompts = [row.prompt for row in situation.rows]
    session = open_session(prompts, component, vocab_size=VOCAB_SIZE, eos_token_ids=[END])
    grow(session, [row.new_tokens for row in situation.rows])
    told: list[object] = []
    for step in range(_STEPS):
        if detours:
            _go_astray(session, step)
        logits = step_logits(step, len(prompts))
        session.next_logits()
        processed = session.process(logits)
        tokens = session.choose(processed)
        session.append(tokens)
        told += [processed.tolist(), tokens.tolist(), session.rows.finish_reason]
    return told


def _go_astray(session: DecodingSession, step: int) -> None:
    """Let copies of the rows, then the rows themselves, go another way, and come back."""
    count = len(session.rows)
    session.fork([number for number in range(count) for _ in range(2)])
    tell_draws(session)
    other = step_logits(step + _STEPS, 2 * count)
    session.next_logits()
    session.process(other)
    session.choose(other)
    session.append([-1, _JUNK] * count)
    session.finish(range(1, 2 * count, 2))
    session.fork(range(0, 2 * count, 2))
    tell_draws(session)
    go_back_and_forth(session)


def go_back_and_forth(session: DecodingSession) -> None:
    """Append to each row until all are longer than the longest was, and take it back."""
    lengths: list[int] = [len(row.tokens) for row in session.rows.records]
    grown: list[int] = [row.grown for row in session.rows.records]
    grow(session, [[_JUNK] * (max(lengths) + 2 - length) for length in lengths])
    session.rows.tokens  # noqa: B018 - written down only when it is read
    session.rewind(
        [row.grown - before for row, before in zip(session.rows.records, grown, strict=True)]
    )
    tell_draws(session)


def tell_draws(session: DecodingSession) -> None:
    """Make rows that were copied or cut back draw the numbers of rows that never were.

    Copies have lanes and draws of their own, so that they differ, and what was cut back is drawn
    in another way; here they must not.
    """
    for row in session.rows.records:
        row.lane, row.draws, row.taken_back = 0, row.grown, ()


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether two answers are the same up to rounding; what is ruled out must agree exactly."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    return torch.equal(one.isinf(), other.isinf()) and torch.allclose(
        one, other, rtol=1e-5, atol=1e-5
    )
