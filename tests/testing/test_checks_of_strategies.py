"""Checks of strategies: each finds a strategy made to break it, and no other."""

from typing import Annotated

import pytest
import torch
from pydantic import Field

from gpt2sdk import strategy
from gpt2sdk.defaults import greedy, sample
from gpt2sdk.testing import check_strategy, parametrize_with_checks, strategy_checks
from gpt2sdk.testing.generation_checks import check_a_prompt_alone_is_as_among_others


@strategy(hold=None)
def two_tries(session, *, tries: Annotated[int, Field(description="Of each prompt.")] = 2):
    """Draw some completions of each prompt, and return the likeliest."""
    session.fork([seat for seat in range(len(session.rows)) for _ in range(tries)])
    scores = torch.zeros(len(session.rows))
    while session.running:
        logits = session.next_logits()
        step = session.append(session.choose(session.process(logits)))
        tokens = torch.tensor(step.tokens)[:, None]
        gained = logits.log_softmax(-1).gather(1, tokens.clamp(min=0))
        scores += gained.where(tokens >= 0, 0.0)[:, 0]
        yield step
    session.submit(range(len(scores)), scores.tolist())


@parametrize_with_checks([sample.component(), greedy.component(), two_tries.component(tries=3)])
def test_good_strategies_pass(component, check):
    check(component)


def test_a_function_stands_for_its_component():
    check_strategy(sample)


@strategy(hold=None)
def gives_up(session):
    """Drops the last prompt."""
    session.fork(range(len(session.rows) - 1))
    while session.running:
        yield session.append(session.choose(session.process(session.next_logits())))


@strategy(rows_independent=True)
def headstrong(session):
    """Asks no processor."""
    while session.running:
        yield session.append(session.choose(session.next_logits()))


@strategy(rows_independent=True)
def noisy(session):
    """Draws torch's random numbers."""
    while session.running:
        logits = session.process(session.next_logits())
        yield session.append(torch.multinomial(logits.softmax(-1), 1)[:, 0])


@strategy(rows_independent=True, draws=False)
def secretive(session):
    """Draws, and denies it."""
    while session.running:
        yield session.append(session.race(session.process(session.next_logits()), "secret"))


@strategy(rows_independent=True)
def crowded(session):
    """Adds what the other rows think."""
    while session.running:
        logits = session.process(session.next_logits())
        yield session.append(session.choose(logits + logits.nan_to_num(0, 0, 0).mean(0)))


@strategy(rows_independent=True)
def lane_leader(session):
    """Copies the token of the first row of its prompt."""
    while session.running:
        tokens = session.choose(session.process(session.next_logits()))
        for _, rows in session.rows.by_prompt():
            tokens[list(rows.index)] = tokens[list(rows.index)].amax()
        yield session.append(tokens)


CHECKS = [
    (headstrong, strategy_checks.check_processors_are_minded, "a processor rules out"),
    (noisy, strategy_checks.check_equal_seeds_give_equal_texts, "global random numbers"),
    (secretive, strategy_checks.check_what_draws_says_so, "depend on the seed"),
    (crowded, check_a_prompt_alone_is_as_among_others, "among others"),
    (lane_leader, strategy_checks.check_independent_rows_are, "change with their number"),
]


@pytest.mark.parametrize(
    ("broken", "check", "promise"), CHECKS, ids=lambda each: getattr(each, "__name__", "")
)
def test_a_strategy_that_breaks_a_promise_is_found(broken, check, promise):
    with pytest.raises(AssertionError, match=promise):
        check(broken.component())


def test_a_prompt_that_is_dropped_is_found():
    with pytest.raises(AssertionError, match=r"GenerationError in it_comes_to_an_end: .*dropped"):
        check_strategy(gives_up)


def test_what_is_found_names_the_strategy():
    with pytest.raises(AssertionError, match=r"headstrong\(\) says \["):
        check_strategy(headstrong)
