"""Every rule of the options, and what breaking it says."""

import json
from types import ModuleType
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from transformers import LogitsProcessorList, TopKLogitsWarper

from gpt2sdk import hookimpl
from gpt2sdk.components.callables import CallableProcessor
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy, strategy
from gpt2sdk.defaults import Greedy, Multinomial, greedy, sample
from gpt2sdk.errors import OptionError, PluginConflictError, PluginContractError
from gpt2sdk.generator.each import each
from gpt2sdk.generator.options import resolve
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.rng import derive


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


class Tuned(Sampler):
    """A sampler with an option that a strategy has as well."""

    tau: float = 5.0
    width: int = 1


class Lookup(Drafter):
    """A drafter with options."""

    ngram: int = Field(3, ge=1)


class Odd(LogitsProcessor):
    """Its validation breaks."""

    odd: int = 0

    def model_post_init(self, context):
        raise RuntimeError("not today")


@strategy(draws=False, hold=None)
def wide(session, *, width: int = 4, base: float = 2.0):
    """Compare rows."""
    yield from ()


@strategy(hold=3)
def careful(session, *, width: int = 2):
    """Take tokens back."""
    yield from ()


ALL = (Heat, Cut, Ban, Dry, Early, Guide, Words, Ends, Grammar, Tuned, Lookup, Odd, wide, careful)


def plugin(*components, name="acme"):
    """Return a module that offers these components."""
    module = ModuleType(name)

    @hookimpl
    def gpt2sdk_components():
        return components

    module.gpt2sdk_components = gpt2sdk_components
    return module


REGISTRY = Registry([plugin(*ALL)], discover=False)


def plan(prompts=1, registry=REGISTRY, **options):
    """Resolve options; a double underscore stands for a dot."""
    named = {name.replace("__", "."): value for name, value in options.items()}
    return resolve(named, registry=registry, prompts=prompts, eos_token_ids=[50256])


def chain(plan):
    """Return the processors of a plan by purpose."""
    return {link.purpose: link.variants for link in plan.processors}


def refusal(error=OptionError, /, prompts=1, **options):
    """Return what resolving these options is refused with."""
    with pytest.raises(error) as caught:
        plan(prompts, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------ settings


def test_defaults():
    empty = plan()

    assert sample.component() == empty.strategy
    assert Multinomial() == empty.sampler
    assert ((), (), (), None) == (
        empty.processors,
        empty.criteria,
        empty.text_criteria,
        empty.drafter,
    )
    assert (frozenset({50256}), (None,), 1, 32) == (
        empty.eos_token_ids,
        empty.max_new_tokens,
        empty.num_return_sequences,
        empty.batch_size,
    )
    assert ("error", False) == (empty.overflow, empty.logprobs)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("max_new_tokens", 0, "max_new_tokens should be greater than or equal to 1, got 0"),
        ("max_new_tokens", 2.5, "max_new_tokens should be a valid integer, got 2.5"),
        ("max_new_tokens", True, "max_new_tokens should be a valid integer, got True"),
        ("max_new_tokens", [5, 0], "max_new_tokens has 2 values for 1 prompt: give one for each"),
        ("num_return_sequences", 0, "num_return_sequences should be greater than or equal to 1"),
        ("batch_size", -1, "batch_size should be greater than or equal to 1, got -1"),
        ("batch_size", "8", "batch_size should be a valid integer, got '8'"),
        ("seed", 1.5, "seed should be a valid integer, got 1.5"),
        ("eos_token_id", -1, "eos_token_id should be greater than or equal to 0, got -1"),
        ("eos_token_id", "end", "eos_token_id should be a valid integer, got 'end'"),
        ("overflow", "cut", "overflow should be 'error' or 'slide', got 'cut'"),
        ("logprobs", "raw", "logprobs should be a valid boolean, got 'raw'"),
        ("num_return_sequences", [1], "num_return_sequences is one value for all prompts"),
        ("batch_size", each([1]), "batch_size is one value for all prompts"),
        ("processors", each([[]]), "processors takes a list of components and callables"),
        ("processors", 3, "processors takes a list of components and callables"),
        ("heat", -1.0, "heat should be greater than or equal to 0, got -1.0"),
        ("heat", float("nan"), "heat should be a finite number, got nan"),
        ("heat", "warm", "heat should be a valid number, got 'warm'"),
        ("heat", True, "heat should be a valid number, got True"),
        ("ban", [1, "two"], "ban[1] should be a valid integer, got 'two'"),
    ],
)
def test_wrong_values_are_refused_in_one_line(option, value, message):
    assert message in refusal(**{option: value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("model", {50256}), (None, set()), (7, {7}), ([7, 8], {7, 8}), ((), set())],
)
def test_end_tokens(value, expected):
    assert expected == plan(eos_token_id=value).eos_token_ids


def test_settings_are_passed_on():
    result = plan(
        num_return_sequences=3, batch_size=4, overflow="slide", logprobs="processed", seed=7
    )

    assert (3, 4, "slide", "processed", (7,)) == (
        result.num_return_sequences,
        result.batch_size,
        result.overflow,
        result.logprobs,
        result.seeds,
    )


def test_one_seed_is_derived_for_each_prompt_and_a_list_is_taken_as_it_is():
    assert (7, derive(7, 1), derive(7, 2)) == plan(3, seed=7).seeds
    assert (7, 7, -1) == plan(3, seed=[7, 7, -1]).seeds
    assert (7, 8) == plan(2, seed=each([7, 8])).seeds
    assert "seed has 2 values for 3 prompts" in refusal(prompts=3, seed=[1, 2])


def test_a_seed_that_is_not_given_is_drawn_and_recorded():
    first, second = plan(2), plan(2)

    assert first.seeds != second.seeds
    assert first.effective["seed"] == first.seeds[0]
    assert first.seeds == plan(2, seed=first.effective["seed"]).seeds
    mixed = plan(2, seed=each([5, None]))
    assert list(mixed.seeds) == mixed.effective["seed"]


def test_lengths_may_differ_from_prompt_to_prompt():
    assert (5, None) == plan(2, max_new_tokens=[5, None]).max_new_tokens
    assert (5,) == plan(2, max_new_tokens=5).max_new_tokens
    assert "max_new_tokens should be greater" in refusal(prompts=2, max_new_tokens=[5, 0])


# ---------------------------------------------------------------- strategy, sampler, drafter


def function(session):
    """Grow rows, saying nothing of how."""
    yield from ()


def with_options(session, *, width: int = 3):
    """Grow rows so wide."""
    yield from ()


@pytest.mark.parametrize("value", ["wide", wide, wide.component(width=4)])
def test_strategies_are_named_or_handed_in(value):
    assert wide.component(width=4) == plan(strategy=value).strategy


def test_a_bare_function_is_a_strategy_whose_rows_may_depend_on_each_other():
    grown = plan(strategy=function).strategy

    assert ("function", False, True) == (grown.name, grown.rows_independent, grown.draws)
    assert grown.hold() is None
    assert 9 == plan(strategy=with_options, width=9).strategy.width


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
def test_what_is_no_strategy(value, message):
    assert message in refusal(strategy=value)


def test_samplers_are_named_or_handed_in():
    assert Tuned(tau=2.0) == plan(sampler="tuned", tau=2.0).sampler
    assert Tuned() == plan(sampler=Tuned()).sampler
    assert "there is no sampler 'tund'" in refusal(sampler="tund")
    assert "sampler expects a name or a Sampler, got the class Tuned" in refusal(sampler=Tuned)


def test_a_strategy_that_does_not_draw_has_the_greedy_sampler_and_no_other():
    assert Greedy() == plan(strategy="greedy").sampler
    assert Greedy() == plan(strategy="wide").sampler
    message = "sampler has no effect with the strategy greedy, which does not draw: leave it out"
    assert message == refusal(strategy="greedy", sampler="greedy")


@pytest.mark.parametrize("name", ["lookup", "acme:lookup"])
def test_drafters_are_named_or_handed_in(name):
    assert Lookup(ngram=2) == plan(drafter=name, ngram=2).drafter
    assert Lookup() == plan(drafter=Lookup()).drafter
    assert "there is no drafter 'lookpu'" in refusal(drafter="lookpu")


def test_options_of_what_was_not_chosen_say_what_to_choose():
    message = "tau is an option of the sampler tuned: choose it with sampler='tuned'"
    assert message == refusal(tau=1.0)
    assert "choose it with drafter='lookup'" in refusal(ngram=1)
    assert "tuned.tau is an option of the sampler tuned" in refusal(tuned__tau=1.0)
    several = "width is an option of the strategy careful and wide: choose it with"
    assert several in refusal(width=1)


def test_options_of_a_component_handed_in_ready_made_are_set_there():
    message = "width is an option of the strategy wide, which was handed in ready-made"
    assert message in refusal(strategy=wide.component(), width=3)


def test_options_of_named_components_are_the_same_for_all_prompts():
    assert "width is one value for all prompts" in refusal(strategy="wide", width=[1])
    assert "tau is one value for all prompts" in refusal(sampler="tuned", tau=each([1.0]))


def test_a_window_slides_only_where_no_token_is_taken_back():
    assert "slide" == plan(overflow="slide", strategy="greedy").overflow
    for name in ("careful", "wide"):
        message = f'overflow="slide" needs a strategy that takes no tokens back, {name} may'
        assert message == refusal(overflow="slide", strategy=name)


# ------------------------------------------------------------------------------- whose option


def test_components_that_are_named_are_searched_first():
    both = plan(strategy="wide", base=3.0)

    assert 3.0 == both.strategy.base
    assert {} == chain(both)
    assert {"dry": (Dry(dry=1.0, base=3.0),)} == chain(plan(dry=1.0, base=3.0))


def test_dotted_names_always_say_which():
    both = plan(strategy="wide", wide__base=3.0, dry__dry=1.0, dry__base=2.0)

    assert 3.0 == both.strategy.base
    assert {"dry": (Dry(dry=1.0, base=2.0),)} == chain(both)
    assert chain(both) == chain(
        resolve({"strategy": "wide", "acme:dry.dry": 1.0, "acme:dry.base": 2.0}, registry=REGISTRY)
    )


def test_an_option_of_two_named_components_needs_its_dotted_name():
    message = "width is an option of the strategy careful and the sampler tuned: write "
    assert message + "careful.width or tuned.width" == refusal(
        strategy="careful", sampler="tuned", width=3
    )
    assert 3 == plan(strategy="careful", sampler="tuned", careful__width=3).strategy.width


class Rival(LogitsProcessor):
    """Claims an option of another distribution's component."""

    rival: bool = False
    base: float = 1.0


def test_an_option_of_two_processors_is_an_error_that_names_both_sides():
    registry = Registry([plugin(*ALL), plugin(Rival, name="rivals")], discover=False)

    message = refusal(PluginConflictError, registry=registry, dry=1.0, base=2.0)
    assert "the logits processor dry of acme" in message
    assert "the logits processor rival of rivals" in message
    assert "write dry.base or rival.base" in message
    assert 2.0 == plan(registry=registry, dry=1.0, dry__base=2.0).processors[0].variants[0].base


def test_two_processors_of_one_name_are_told_apart_by_their_distribution():
    class Dry(LogitsProcessor):
        dry: float = 0.0

    registry = Registry([plugin(*ALL), plugin(Dry, name="rivals")], discover=False)
    message = refusal(PluginConflictError, registry=registry, dry__dry=1.0)

    assert "write acme:dry.dry or rivals:dry.dry" in message
    chosen = resolve({"rivals:dry.dry": 1.0}, registry=registry).processors[0].variants[0]
    assert isinstance(chosen, Dry)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("hete", "there is no option hete: did you mean heat?"),
        ("max_new_token", "did you mean max_new_tokens?"),
        ("min_ps", "did you mean min_p (it is in gpt2sdk-sampling: pip install gpt2sdk-sampling)"),
        ("zzzzzz", "there is no option zzzzzz: `gpt2sdk options` lists them all"),
        ("min_p", "it is in gpt2sdk-sampling: pip install gpt2sdk-sampling"),
        ("tuned", "tuned is a sampler with the options tau, width"),
        ("dry.bse", "dry.bse is not an option: dry has dry, base, breakers"),
        ("dyr.base", "there is no option dyr.base: did you mean dry.base"),
        ("min_p.min_p", "pip install gpt2sdk-sampling"),
    ],
)
def test_unknown_options_are_answered_with_what_helps(option, message):
    assert message in refusal(**{option: 1})


def test_both_spellings_mean_one_option():
    assert (3,) == resolve({"max-new-tokens": 3}, registry=REGISTRY).max_new_tokens
    message = "max_new_tokens and max-new-tokens are the same option: give one"
    with pytest.raises(OptionError, match=message):
        resolve({"max_new_tokens": 3, "max-new-tokens": 3}, registry=REGISTRY)
    assert "heat and heat.heat are the same option" in refusal(heat=1.0, heat__heat=2.0)


def test_an_error_says_the_name_as_it_was_written():
    with pytest.raises(OptionError) as caught:
        resolve({"dry.dry": 1.0, "dry.base": 0.5}, registry=REGISTRY)

    assert "dry.base" == caught.value.name
    assert "dry.base should be greater than or equal to 1, got 0.5" == str(caught.value)


def test_what_a_component_raises_does_not_leak():
    message = refusal(PluginContractError, odd=1)

    assert "odd refused its options with RuntimeError: not today" == message


# --------------------------------------------------------------------------------- switches


@pytest.mark.parametrize("value", [1.0, 1, None])
def test_a_neutral_switch_leaves_the_component_out(value):
    assert () == plan(heat=value).processors


def test_a_neutral_switch_needs_nothing_else():
    assert () == plan(guide=1.0).processors
    assert "guide needs negative" == refusal(guide=2.0)


def test_options_without_the_switch_are_an_error():
    assert "base needs dry, which turns dry on" == refusal(base=2.0)
    assert "dry.base needs dry, which turns dry on" == refusal(dry__base=2.0)


def test_options_beside_a_neutral_switch_are_checked_and_unused():
    assert () == plan(dry=0.0, base=2.0).processors
    assert "base should be greater" in refusal(dry=0.0, base=0.0)


def test_criteria_are_turned_on_alike():
    both = plan(words=5, ends=["."])

    assert [("words", (Words(words=5),))] == [(c.purpose, c.variants) for c in both.criteria]
    assert [("ends", (Ends(ends=(".",)),))] == [(c.purpose, c.variants) for c in both.text_criteria]
    assert () == plan(words=None, ends=[]).criteria


# ------------------------------------------------------------------------------- per prompt


def test_each_prompt_has_its_own_value():
    hot, cold = Heat(heat=2.0), Heat(heat=0.5)

    assert {"heat": (hot, cold, None, None)} == chain(plan(4, heat=[2.0, 0.5, 1.0, None]))
    assert chain(plan(2, heat=[2.0, 0.5])) == chain(plan(2, heat=each([2.0, 0.5])))
    assert chain(plan(2, heat=[2.0, 0.5])) == chain(plan(2, heat={"each": [2.0, 0.5]}))


def test_equal_values_share_one_object():
    first, second, third = chain(plan(3, heat=[2.0, 0.5, 2.0]))["heat"]

    assert first is third
    assert first is not second
    assert 1 == len(chain(plan(3, heat=[2.0, 2.0, 2.0]))["heat"])
    assert () == plan(2, heat=[1.0, None]).processors


def test_a_list_is_one_value_where_a_list_belongs():
    assert {"ban": (Ban(ban=(1, 2)),)} == chain(plan(2, ban=[1, 2]))
    assert {"ban": (Ban(ban=(1, 2)), Ban(ban=(3,)), None)} == chain(
        plan(3, ban=each([[1, 2], [3], None]))
    )


class Unhashable(LogitsProcessor):
    """Holds something that cannot be hashed."""

    model_config: ClassVar = {"arbitrary_types_allowed": True}
    unhashable: bytearray | None = None


def test_components_that_cannot_be_hashed_share_nothing_and_work():
    registry = Registry([plugin(Unhashable)], discover=False)
    same = bytearray(b"x")
    result = plan(2, registry=registry, unhashable=each([same, same]))

    assert 2 == len(result.processors[0].variants)
    listed = Unhashable(unhashable=same)
    assert 2 == len(plan(processors=[listed, listed]).processors)


def test_options_of_one_component_are_combined_prompt_by_prompt():
    combined = plan(3, dry=[1.0, 0.0, 2.0], base=each([2.0, 3.0, None]))

    assert (Dry(dry=1.0, base=2.0), None, Dry(dry=2.0)) == chain(combined)["dry"]


def test_the_number_of_values_must_be_that_of_the_prompts():
    assert "heat has 2 values for 3 prompts: give one for each" == refusal(prompts=3, heat=[1, 2])
    assert "ban has 1 value for 2 prompts" in refusal(prompts=2, ban=each([[1]]))


def test_a_wrong_value_says_which_prompt_it_is_for():
    assert "prompt 1: heat should be greater than or equal to 0, got -1" == refusal(
        prompts=2, heat=[1, -1]
    )


@given(st.lists(st.sampled_from([0.5, 1.0, 2.0, None]), min_size=1, max_size=6))
def test_a_prompt_has_alone_what_it_has_among_others(values):
    together = plan(len(values), heat=values)

    for prompt, value in enumerate(values):
        alone = [link.of(0) for link in plan(1, heat=value).processors]
        found = [link.of(prompt) for link in together.processors]
        assert alone == [component for component in found if component is not None]


# ------------------------------------------------------------------------------------ order


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
def test_the_chain_is_ordered_by_stage_rank_and_name(names):
    assert ORDER == list(chain(plan(**{name: OPTIONS[name] for name in names})))


def ban_nothing(logits, rows):
    return logits


def test_listed_processors_keep_their_order_between_constrain_and_temperature():
    heat, cut = Heat(heat=0.1), Cut(cut=1)
    result = plan(dry=1.0, ban=[1], processors=[cut, ban_nothing, heat, cut], early=True)

    assert ["early", "dry", "ban", "cut", "ban_nothing", "heat", "cut#1"] == list(chain(result))
    mixed = plan(heat=0.5, processors=[Cut(cut=1), Dry(dry=1.0)])
    assert ["cut", "dry", "heat"] == list(chain(mixed))


def test_a_component_in_the_list_and_by_option_is_an_error():
    message = refusal(heat=0.5, cut=1, processors=[Heat(heat=0.5)])

    assert "heat stands in processors[0] and is turned on by heat: give one" == message
    assert ["heat"] == list(chain(plan(heat=1.0, processors=[Heat(heat=0.5)])))


def test_constraints_give_their_reason_before_other_criteria():
    result = plan(words=5, grammar="g", stopping=[lambda rows: False])

    assert ["grammar", "words", "lambda"] == [link.purpose for link in result.criteria]


# ------------------------------------------------------------------------------------ lists


def stop_never(input_ids, scores):
    return False


def test_callables_are_wrapped():
    result = plan(processors=[ban_nothing], stopping=[stop_never, Words(words=3), Ends(ends=["x"])])

    assert [CallableProcessor(function=ban_nothing)] == [p.of(0) for p in result.processors]
    assert ["stop_never", "words"] == [c.purpose for c in result.criteria]
    assert ["ends"] == [c.purpose for c in result.text_criteria]


def test_transformers_lists_are_unfolded():
    warpers = LogitsProcessorList([TopKLogitsWarper(3), TopKLogitsWarper(5)])

    for given_list in (warpers, [warpers]):
        result = plan(processors=given_list)
        assert ["top_k_logits_warper", "top_k_logits_warper#1"] == list(chain(result))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processors": [Heat]}, "processors has the class Heat: give an instance of it"),
        ({"processors": ["heat"]}, "processors takes components and callables"),
        ({"processors": [lambda x: x]}, "a processor takes (logits, rows), or parameters named"),
        ({"processors": [Words(words=1)]}, "does not take words, which is a stopping criterion"),
        ({"processors": [Greedy()]}, "processors does not take greedy, which is a sampler"),
        (
            {"stopping": [Heat(heat=2.0)]},
            "stopping does not take heat, which is a logits processor",
        ),
        ({"stopping": ["."]}, "stopping takes components and callables"),
        ({"stopping": [lambda a, b: a]}, "a stopping criterion takes (rows)"),
        ({"stopping": torch.ones(2)}, "stopping takes a list of components and callables"),
    ],
)
def test_what_does_not_belong_in_a_list(options, message):
    assert message in refusal(**options)


def test_a_component_of_several_roles_has_one_place_in_each():
    grammar = Grammar(grammar="g")
    by_option = plan(grammar="g")
    listed = plan(processors=[grammar], stopping=[grammar])
    drafting = plan(drafter="grammar", grammar="g")

    for result in (by_option, listed, drafting):
        assert [("grammar", grammar)] == [(p.purpose, p.of(0)) for p in result.processors]
        assert [("grammar", grammar)] == [(c.purpose, c.of(0)) for c in result.criteria]
        assert result.processors[0].of(0) is result.criteria[0].of(0)
    assert drafting.drafter is drafting.processors[0].of(0)


def test_a_drafter_that_is_off_as_a_processor_is_not_in_the_chain():
    drafting = plan(drafter="grammar")

    assert (Grammar(), ()) == (drafting.drafter, drafting.processors)


# ---------------------------------------------------------------- strategies that do not draw


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
def test_what_only_shapes_a_draw_is_refused(name, options, what):
    message = f"{what} has no effect with the strategy {name}, which does not draw: leave it out"

    assert message == refusal(strategy=name, **options)


def test_neutral_values_and_other_stages_are_fine_without_a_draw():
    result = plan(strategy="greedy", heat=1.0, cut=0, ban=[1], processors=[ban_nothing])

    assert ["ban", "ban_nothing"] == list(chain(result))
    assert greedy.component() == result.strategy


# --------------------------------------------------------------------------------- effective


def test_what_was_in_force_is_recorded_with_defaults_and_versions():
    result = plan(dry=1.0, seed=7, processors=[Heat(heat=0.5), ban_nothing])

    assert {
        "strategy": "sample",
        "sampler": "multinomial",
        "max_new_tokens": None,
        "seed": 7,
        "eos_token_id": [50256],
        "num_return_sequences": 1,
        "batch_size": 32,
        "overflow": "error",
        "logprobs": False,
        "dry": 1.0,
        "base": 1.75,
        "breakers": ["\n"],
        "processors": [
            {"name": "heat", "heat": 0.5},
            {"name": "ban_nothing", "function": f"{__name__}.ban_nothing"},
        ],
        "versions": {"gpt2sdk": "0.1.0"},
    } == result.effective


@given(
    heat=st.sampled_from([1.0, 0.5, [0.5, 1.0], None]),
    dry=st.sampled_from([0.0, 1.0, [1.0, 2.0]]),
    ban=st.sampled_from([(), (1, 2), each([[1], [2]])]),
    words=st.sampled_from([None, 5, [5, None]]),
    strategy=st.sampled_from(["sample", "careful"]),
    sampler=st.sampled_from([None, "tuned"]),
    drafter=st.sampled_from([None, "lookup"]),
    seed=st.sampled_from([None, 3, [3, 4]]),
    max_new_tokens=st.sampled_from([None, 5, [5, 6]]),
    eos_token_id=st.sampled_from(["model", None, 3]),
)
def test_what_was_in_force_gives_the_same_plan_again(**options):
    first = plan(2, **options)
    recorded = json.loads(json.dumps(first.effective))
    recorded.pop("versions")

    assert first == resolve(recorded, registry=REGISTRY, prompts=2)


def test_unclear_names_are_recorded_with_a_dot():
    result = plan(strategy="careful", sampler="tuned", dry=1.0)

    assert {"careful.width", "tuned.width", "base", "tau"} <= result.effective.keys()
    wider = plan(strategy="wide", dry=1.0)
    assert {"base", "dry.base"} <= wider.effective.keys()
