"""Switches turn components on, for all prompts or prompt by prompt."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.options import each
from gpt2sdk.plugins.registry import Registry


class Heat(LogitsProcessor):
    """Shapes a draw."""

    stage = Stage.TEMPERATURE
    heat: float = Field(1.0, ge=0)


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


COMPONENTS = (Heat, Ban, Dry, Guide, Words, Ends)


@pytest.mark.parametrize("value", [1.0, 1, None])
def test_a_neutral_switch_leaves_the_component_out(composed, value):
    assert () == composed(heat=value).processors


def test_a_neutral_switch_needs_nothing_else(composed, refusal):
    assert () == composed(guide=1.0).processors
    assert "guide needs negative" == refusal(guide=2.0)


def test_options_without_the_switch_are_an_error(refusal):
    assert "base does nothing without dry: expected dry, too" == refusal(base=2.0)
    assert "dry.base does nothing without dry: expected dry, too" == refusal(dry__base=2.0)


def test_options_beside_a_neutral_switch_are_checked_and_unused(composed, refusal):
    assert () == composed(dry=0.0, base=2.0).processors
    assert "base should be greater" in refusal(dry=0.0, base=0.0)


def test_criteria_are_turned_on_alike(composed):
    both = composed(words=5, ends=["."])

    assert [("words", (Words(words=5),))] == [(c.purpose, c.components) for c in both.criteria]
    assert [("ends", (Ends(ends=(".",)),))] == [
        (c.purpose, c.components) for c in both.text_criteria
    ]
    assert () == composed(words=None, ends=[]).criteria


def test_each_prompt_has_its_own_value(composed, chain):
    hot, cold = Heat(heat=2.0), Heat(heat=0.5)

    assert {"heat": (hot, cold, None, None)} == chain(composed(4, heat=[2.0, 0.5, 1.0, None]))
    assert chain(composed(2, heat=[2.0, 0.5])) == chain(composed(2, heat=each([2.0, 0.5])))
    assert chain(composed(2, heat=[2.0, 0.5])) == chain(composed(2, heat={"each": [2.0, 0.5]}))


def test_equal_values_share_one_object(composed, chain):
    first, second, third = chain(composed(3, heat=[2.0, 0.5, 2.0]))["heat"]

    assert first is third
    assert first is not second
    assert 1 == len(chain(composed(3, heat=[2.0, 2.0, 2.0]))["heat"])
    assert () == composed(2, heat=[1.0, None]).processors


def test_a_list_is_one_value_where_a_list_belongs(composed, chain):
    assert {"ban": (Ban(ban=(1, 2)),)} == chain(composed(2, ban=[1, 2]))
    assert {"ban": (Ban(ban=(1, 2)), Ban(ban=(3,)), None)} == chain(
        composed(3, ban=each([[1, 2], [3], None]))
    )


class Unhashable(LogitsProcessor):
    """Holds something that cannot be hashed."""

    model_config: ClassVar = {"arbitrary_types_allowed": True}
    unhashable: bytearray | None = None


def test_components_that_cannot_be_hashed_share_nothing_and_work(composed, plugin):
    registry = Registry([plugin(Unhashable)], discover=False)
    same = bytearray(b"x")
    result = composed(2, registry=registry, unhashable=each([same, same]))

    assert 2 == len(result.processors[0].components)
    listed = Unhashable(unhashable=same)
    assert 2 == len(composed(processors=[listed, listed]).processors)


def test_options_of_one_component_are_combined_prompt_by_prompt(composed, chain):
    combined = composed(3, dry=[1.0, 0.0, 2.0], base=each([2.0, 3.0, None]))

    assert (Dry(dry=1.0, base=2.0), None, Dry(dry=2.0)) == chain(combined)["dry"]


def test_the_number_of_values_must_be_that_of_the_prompts(refusal):
    assert "heat has 2 values for 3 prompts: give one for each" == refusal(prompts=3, heat=[1, 2])
    assert "ban has 1 value for 2 prompts" in refusal(prompts=2, ban=each([[1]]))


def test_a_wrong_value_says_which_prompt_it_is_for(refusal):
    assert "prompt 1: heat should be greater than or equal to 0, got -1" == refusal(
        prompts=2, heat=[1, -1]
    )


@given(st.lists(st.sampled_from([0.5, 1.0, 2.0, None]), min_size=1, max_size=6))
def test_a_prompt_has_alone_what_it_has_among_others(composed, values):
    together = composed(len(values), heat=values)

    for prompt, value in enumerate(values):
        alone = [link.link(0) for link in composed(1, heat=value).processors]
        found = [link.link(prompt) for link in together.processors]
        assert alone == [component for component in found if component is not None]
