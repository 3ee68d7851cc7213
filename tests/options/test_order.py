"""Processors and criteria run in one order, whatever the order of the options."""

from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from transformers import LogitsProcessorList, TopKLogitsWarper

from gpt2sdk.components.callables import CallableProcessor
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import strategy
from gpt2sdk.defaults import Greedy, greedy


class Heat(LogitsProcessor):
    """Shapes a draw."""

    stage = Stage.TEMPERATURE
    heat: float = Field(1.0, ge=0)


class Cut(LogitsProcessor):
    """Shapes a draw, after `Heat`."""

    stage = Stage.TRUNCATE
    cut: int = Field(0, ge=0)


class Ban(LogitsProcessor):
    """Rules tokens out."""

    stage = Stage.CONSTRAIN
    ban: tuple[int, ...] = ()


class Dry(LogitsProcessor):
    """Has several options."""

    stage = Stage.PENALTY
    rank = 5
    dry: float = 0.0
    base: float = Field(1.75, ge=1)
    breakers: tuple[str, ...] = ("\n",)


class Early(LogitsProcessor):
    """Stands before `Dry` by its rank."""

    stage = Stage.PENALTY
    rank = 1
    early: bool = False


class Guide(LogitsProcessor):
    """Needs a second option once it is on."""

    stage = Stage.GUIDANCE
    guide: float = 1.0
    negative: str


class Words(StoppingCriterion):
    """A token criterion."""

    words: int | None = None


class Ends(TextCriterion):
    """A text criterion."""

    ends: tuple[str, ...] = ()


class Grammar(LogitsProcessor, StoppingCriterion, Drafter):
    """Masks, stops and drafts."""

    reason: ClassVar[str] = "constraint_complete"
    grammar: str = ""


@strategy(draws=False, hold=None)
def wide(session, *, width: int = 4, base: float = 2.0):
    """Compare rows."""
    yield from ()


COMPONENTS = (Heat, Cut, Ban, Dry, Early, Guide, Words, Ends, Grammar, wide)


OPTIONS = {
    "guide": 2.0,
    "negative": "no",
    "dry": 1.0,
    "early": True,
    "ban": [1],
    "grammar": "g",
    "heat": 0.5,
    "cut": 3,
}


ORDER = ["guide", "early", "dry", "ban", "grammar", "heat", "cut"]


@given(st.permutations(list(OPTIONS)))
def test_the_chain_is_ordered_by_stage_rank_and_name(composed, chain, names):
    assert ORDER == list(chain(composed(**{name: OPTIONS[name] for name in names})))


def ban_nothing(logits, rows):
    return logits


def test_listed_processors_keep_their_order_between_constrain_and_temperature(composed, chain):
    heat, cut = Heat(heat=0.1), Cut(cut=1)
    result = composed(dry=1.0, ban=[1], processors=[cut, ban_nothing, heat, cut], early=True)

    assert ["early", "dry", "ban", "cut", "ban_nothing", "heat", "cut#1"] == list(chain(result))
    mixed = composed(heat=0.5, processors=[Cut(cut=1), Dry(dry=1.0)])
    assert ["cut", "dry", "heat"] == list(chain(mixed))


def test_a_component_in_the_list_and_by_option_is_an_error(composed, refusal, chain):
    message = refusal(heat=0.5, cut=1, processors=[Heat(heat=0.5)])

    assert "heat stands in processors[0] and is turned on by heat: give one" == message
    assert ["heat"] == list(chain(composed(heat=1.0, processors=[Heat(heat=0.5)])))


def test_constraints_give_their_reason_before_other_criteria(composed):
    result = composed(words=5, grammar="g", stopping=[lambda rows: False])

    assert ["grammar", "words", "lambda"] == [link.purpose for link in result.criteria]


def stop_never(input_ids, scores):
    return False


def test_callables_are_wrapped(composed):
    result = composed(
        processors=[ban_nothing], stopping=[stop_never, Words(words=3), Ends(ends=["x"])]
    )

    assert [CallableProcessor(function=ban_nothing)] == [p.components[0] for p in result.processors]
    assert ["stop_never", "words"] == [c.purpose for c in result.criteria]
    assert ["ends"] == [c.purpose for c in result.text_criteria]


def test_transformers_lists_are_unfolded(composed, chain):
    warpers = LogitsProcessorList([TopKLogitsWarper(3), TopKLogitsWarper(5)])

    for given_list in (warpers, [warpers]):
        result = composed(processors=given_list)
        assert ["top_k_logits_warper", "top_k_logits_warper#1"] == list(chain(result))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processors": [Heat]}, "processors has the class Heat: give an instance of it"),
        ({"processors": ["heat"]}, "processors[0] is the text"),
        ({"processors": [lambda x: x]}, "a processor takes (logits, rows), or parameters named"),
        ({"processors": [Words(words=1)]}, "does not take words, which is a stopping criterion"),
        ({"processors": [Greedy()]}, "processors does not take greedy, which is a sampler"),
        (
            {"stopping": [Heat(heat=2.0)]},
            "stopping does not take heat, which is a logits processor",
        ),
        ({"stopping": ["."]}, "stopping[0] is the text"),
        ({"stopping": [lambda a, b: a]}, "a stopping criterion takes (rows)"),
        ({"stopping": torch.ones(2)}, "stopping takes a list of components and callables"),
    ],
)
def test_what_does_not_belong_in_a_list(refusal, options, message):
    assert message in refusal(**options)


def test_a_component_of_several_roles_has_one_place_in_each(composed):
    grammar = Grammar(grammar="g")
    by_option = composed(grammar="g")
    listed = composed(processors=[grammar], stopping=[grammar])
    drafting = composed(drafter="grammar", grammar="g")

    for result in (by_option, listed, drafting):
        assert [("grammar", grammar)] == [(p.purpose, p.components[0]) for p in result.processors]
        assert [("grammar", grammar)] == [(c.purpose, c.components[0]) for c in result.criteria]
        assert result.processors[0].components[0] is result.criteria[0].components[0]
    assert drafting.lead.drafter is drafting.processors[0].components[0]


def test_a_drafter_that_is_off_as_a_processor_is_not_in_the_chain(composed):
    drafting = composed(drafter="grammar")

    assert (Grammar(), ()) == (drafting.lead.drafter, drafting.processors)


@pytest.mark.parametrize("name", ["greedy", "wide"])
@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"heat": 0.5}, "heat"),
        ({"cut": 3}, "cut"),
        ({"processors": [Cut(cut=3)]}, "cut in processors[0]"),
        ({"heat": {"each": [0.5]}}, "heat"),
    ],
)
def test_what_only_shapes_a_draw_is_refused(refusal, name, options, what):
    message = f"{what} has no effect with the strategy {name}, which does not draw: leave it out"

    assert message == refusal(strategy=name, **options)


def test_neutral_values_and_other_stages_are_fine_without_a_draw(composed, chain):
    result = composed(strategy="greedy", heat=1.0, cut=0, ban=[1], processors=[ban_nothing])

    assert ["ban", "ban_nothing"] == list(chain(result))
    assert greedy.component() == result.lead.strategy
