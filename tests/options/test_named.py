"""Strategies, samplers and drafters are named or handed in, and have their options."""

import pytest
from pydantic import Field

from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.strategy import Strategy, strategy
from gpt2sdk.defaults import Greedy
from gpt2sdk.errors import OptionError
from gpt2sdk.options import each


class Tuned(Sampler):
    """A sampler with an option that a strategy has as well."""

    tau: float = 5.0
    width: int = 1


class Lookup(Drafter):
    """A drafter with options."""

    ngram: int = Field(3, ge=1)


@strategy(draws=False, hold=None)
def wide(session, *, width: int = 4, base: float = 2.0):
    """Compare rows."""
    yield from ()


@strategy(hold=3)
def careful(session, *, width: int = 2):
    """Take tokens back."""
    yield from ()


@strategy(chooses=False)
def racing(session):
    """Draw, but ask no sampler."""
    yield from ()


COMPONENTS = (Tuned, Lookup, wide, careful, racing)


def function(session):
    """Grow rows, saying nothing of how."""
    yield from ()


def with_options(session, *, width: int = 3):
    """Grow rows so wide."""
    yield from ()


@pytest.mark.parametrize("value", ["wide", wide, wide.component(width=4)])
def test_strategies_are_named_or_handed_in(composed, value):
    assert wide.component(width=4) == composed(strategy=value).lead.strategy


def test_a_bare_function_is_a_strategy_whose_rows_may_depend_on_each_other(composed):
    grown = composed(strategy=function).lead.strategy

    assert ("function", False, True) == (grown.name, grown.rows_independent, grown.draws)
    assert grown.hold() is None
    assert 9 == composed(strategy=with_options, width=9).lead.strategy.width


def unannotated(session, width):
    yield from ()


def alone():
    yield from ()


def misspelled(session, *, width: "Nothing" = 1):
    yield from ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("wyde", "there is no strategy 'wyde': did you mean wide?"),
        (3, "strategy expects a name or a Strategy, got 3"),
        (None, "strategy expects a name or a Strategy, got None"),
        (Strategy, "got the class Strategy: give an instance, Strategy(...), or its name"),
        (Greedy(), "strategy expects a name or a Strategy, got Greedy()"),
        (unannotated, "width must be keyword-only and annotated"),
        (alone, "strategy expects a function of the session"),
        (misspelled, "name 'Nothing' is not defined"),
    ],
)
def test_what_is_no_strategy(refusal, value, message):
    assert message in refusal(strategy=value)


def test_samplers_are_named_or_handed_in(composed, refusal):
    assert Tuned(tau=2.0) == composed(sampler="tuned", tau=2.0).lead.sampler
    assert Tuned() == composed(sampler=Tuned()).lead.sampler
    assert "there is no sampler 'tund'" in refusal(sampler="tund")
    assert "sampler expects a name or a Sampler, got the class Tuned" in refusal(sampler=Tuned)


def test_a_strategy_that_does_not_draw_has_the_greedy_sampler_and_no_other(composed, refusal):
    assert Greedy() == composed(strategy="greedy").lead.sampler
    assert Greedy() == composed(strategy="wide").lead.sampler
    message = "sampler has no effect with the strategy greedy, which does not draw: leave it out"
    assert message == refusal(strategy="greedy", sampler="greedy")


@pytest.mark.parametrize("name", ["lookup", "acme:lookup"])
def test_drafters_are_named_or_handed_in(composed, refusal, name):
    assert Lookup(ngram=2) == composed(drafter=name, ngram=2).lead.drafter
    assert Lookup() == composed(drafter=Lookup()).lead.drafter
    assert "there is no drafter 'lookpu'" in refusal(drafter="lookpu")


def test_options_of_what_was_not_chosen_say_what_to_choose(refusal):
    message = "tau is an option of the sampler tuned: choose it with sampler='tuned'"
    assert message == refusal(tau=1.0)
    assert "choose it with drafter='lookup'" in refusal(ngram=1)
    assert "tuned.tau is an option of the sampler tuned" in refusal(tuned__tau=1.0)
    several = "width is an option of the strategies careful, wide: choose one of them, as with"
    assert several in refusal(width=1)


def test_options_of_a_component_handed_in_ready_made_are_set_there(refusal):
    message = "width is an option of the strategy wide, which was handed in ready-made"
    assert message in refusal(strategy=wide.component(), width=3)


def test_options_of_named_components_may_differ_from_prompt_to_prompt(composed, refusal):
    got = composed(3, strategy="wide", width=[1, None, 1], num_return_sequences=[2, 1, 2])

    assert [(1, 2), (4, 1), (1, 2)] == [
        (got.lead_of(index).strategy.width, got.lead_of(index).num_return_sequences)
        for index in range(3)
    ]
    assert [1, 4, 1] == got.in_force["width"]
    assert [2, 1, 2] == got.in_force["num_return_sequences"]
    assert "width has 2 values for 3 prompts" in refusal(
        OptionError, 3, strategy="wide", width=[1, 2]
    )
    assert "tau has 1 value for 2 prompts" in refusal(
        OptionError, 2, sampler="tuned", tau=each([1.0])
    )
    assert "prompt 1: ngram should be greater than or equal to 1, got 0" == refusal(
        OptionError, 2, drafter="lookup", ngram=[3, 0]
    )


def test_equal_options_of_prompts_share_a_lead(composed):
    got = composed(3, sampler="tuned", tau=[2.0, 2.0, 2.0])

    assert 1 == len(got.leads)
    assert 2.0 == got.in_force["tau"]


def test_a_window_slides_only_where_no_token_is_taken_back(composed, refusal):
    assert "slide" == composed(overflow="slide", strategy="greedy").lead.overflow
    for name in ("careful", "wide"):
        message = f'overflow="slide" needs a strategy that takes no tokens back, {name} may'
        assert message == refusal(overflow="slide", strategy=name)


def test_a_strategy_that_draws_in_its_own_way_refuses_a_sampler(composed, refusal):
    message = "sampler has no effect with the strategy racing, which draws in a way of its own"
    assert message in refusal(strategy="racing", sampler="tuned")
    assert "sampler" not in composed(strategy="racing").in_force
