"""Each option finds its component, or an error that says which were possible."""

from typing import Annotated

import pytest
from pydantic import Field

from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.shared_option import Shared
from gpt2sdk.components.strategy import strategy
from gpt2sdk.errors import OptionError, PluginConflictError, PluginContractError
from gpt2sdk.options import compose, json_schema
from gpt2sdk.plugins.registry import Registry


class Heat(LogitsProcessor):
    """Shapes a draw."""

    stage = Stage.TEMPERATURE
    heat: float = Field(1.0, ge=0)


class Dry(LogitsProcessor):
    """Has several options."""

    stage = Stage.PENALTY
    rank = 5
    dry: float = 0.0
    base: float = Field(1.75, ge=1)
    breakers: tuple[str, ...] = ("\n",)


class Tuned(Sampler):
    """A sampler with an option that a strategy has as well."""

    tau: float = 5.0
    width: int = 1


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


COMPONENTS = (Heat, Dry, Tuned, Odd, wide, careful)


def test_components_that_are_named_are_searched_first(composed, chain):
    both = composed(strategy="wide", base=3.0)

    assert 3.0 == both.lead.strategy.base
    assert {} == chain(both)
    assert {"dry": (Dry(dry=1.0, base=3.0),)} == chain(composed(dry=1.0, base=3.0))


def test_dotted_names_always_say_which(composed, chain, registry):
    both = composed(strategy="wide", wide__base=3.0, dry__dry=1.0, dry__base=2.0)

    assert 3.0 == both.lead.strategy.base
    assert {"dry": (Dry(dry=1.0, base=2.0),)} == chain(both)
    assert chain(both) == chain(
        compose({"strategy": "wide", "acme:dry.dry": 1.0, "acme:dry.base": 2.0}, registry=registry)
    )


def test_an_option_of_two_named_components_needs_its_dotted_name(composed, refusal):
    message = "width is an option of the strategy careful and the sampler tuned: write "
    assert message + "careful.width or tuned.width" == refusal(
        strategy="careful", sampler="tuned", width=3
    )
    assert 3 == composed(strategy="careful", sampler="tuned", careful__width=3).lead.strategy.width


class Rival(LogitsProcessor):
    """Claims an option of another distribution's component."""

    rival: bool = False
    base: float = 1.0


def test_an_option_of_two_processors_is_an_error_that_names_both_sides(composed, refusal, plugin):
    registry = Registry([plugin(*COMPONENTS), plugin(Rival, name="rivals")], discover=False)

    message = refusal(PluginConflictError, registry=registry, dry=1.0, base=2.0)
    assert "the logits processor dry of acme" in message
    assert "the logits processor rival of rivals" in message
    assert "write dry.base or rival.base" in message
    assert (
        2.0 == composed(registry=registry, dry=1.0, dry__base=2.0).processors[0].components[0].base
    )


Least = Annotated[int, Shared(), Field(ge=1)]


class Cut(LogitsProcessor):
    """Shares an option."""

    cut: float = 0.0
    least: Least = 1


class Chop(LogitsProcessor):
    """Shares the same option."""

    chop: float = 0.0
    least: Least = 1


class Claim(LogitsProcessor):
    """Has that option's name, and means something else."""

    claim: float = 0.0
    least: int = 5


class Stretch(LogitsProcessor):
    """Shares an option of that name, and allows other values."""

    stretch: float = 0.0
    least: Annotated[int, Shared(), Field(ge=0)] = 0


@pytest.fixture
def sharing(plugin):
    return Registry([plugin(Cut, Chop, wide)], discover=False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"cut": 0.5, "least": 2}, [Cut(cut=0.5, least=2)]),
        (
            {"least": 2, "cut": 0.5, "chop": 0.5},
            [Chop(chop=0.5, least=2), Cut(cut=0.5, least=2)],
        ),
        (
            {"cut.least": 3, "least": 2, "cut": 0.5, "chop": 0.5},
            [Chop(chop=0.5, least=2), Cut(cut=0.5, least=3)],
        ),
        ({"cut": 0.0, "least": 2}, []),
    ],
    ids=str,
)
def test_a_shared_option_goes_to_all_that_the_call_turns_on(sharing, options, expected):
    found = compose(options, registry=sharing).processors

    assert expected == [variant for link in found for variant in link.components]


def test_a_shared_option_may_differ_from_prompt_to_prompt(sharing):
    found = compose({"cut": 0.5, "least": [2, 3]}, registry=sharing, prompts=2).processors

    assert [(Cut(cut=0.5, least=2), Cut(cut=0.5, least=3))] == [link.components for link in found]


def test_what_is_in_force_of_a_shared_option_can_be_given_again(sharing):
    composed = compose({"cut": 0.5, "chop": 0.1, "least": 2, "chop.least": 3}, registry=sharing)
    options = {name: value for name, value in composed.in_force.items() if name != "versions"}

    assert 2 == options["cut.least"]
    assert composed.processors == compose(options, registry=sharing).processors


def test_a_shared_option_of_nothing_that_is_on_says_what_turns_it_on(sharing):
    with pytest.raises(OptionError, match="least needs one of chop, cut, which turn on"):
        compose({"least": 2}, registry=sharing)


def test_the_schema_has_the_short_name_of_a_shared_option(sharing):
    properties = json_schema(sharing)["properties"]

    assert {"least", "cut.least", "chop.least"} <= properties.keys()
    assert properties["least"] == properties["cut.least"]


@pytest.mark.parametrize("other", [Claim, Stretch])
def test_an_option_is_shared_only_if_all_mean_the_same_by_it(plugin, other):
    registry = Registry([plugin(Cut, Chop), plugin(other, name="other")], discover=False)

    with pytest.raises(PluginConflictError, match=f"write .*{other.name}.least"):
        compose({"cut": 0.5, "least": 2}, registry=registry)


def test_two_processors_of_one_name_are_told_apart_by_their_distribution(refusal, plugin):
    class Dry(LogitsProcessor):
        dry: float = 0.0

    registry = Registry([plugin(*COMPONENTS), plugin(Dry, name="rivals")], discover=False)
    message = refusal(PluginConflictError, registry=registry, dry__dry=1.0)

    assert "write acme:dry.dry or rivals:dry.dry" in message
    chosen = compose({"rivals:dry.dry": 1.0}, registry=registry).processors[0].components[0]
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
def test_unknown_options_are_answered_with_what_helps(refusal, option, message):
    assert message in refusal(**{option: 1})


def test_both_spellings_mean_one_option(refusal, registry):
    assert (3,) == compose({"max-new-tokens": 3}, registry=registry).max_new_tokens
    message = "max_new_tokens and max-new-tokens are the same option: give one"
    with pytest.raises(OptionError, match=message):
        compose({"max_new_tokens": 3, "max-new-tokens": 3}, registry=registry)
    assert "heat and heat.heat are the same option" in refusal(heat=1.0, heat__heat=2.0)


def test_an_error_says_the_name_as_it_was_written(registry):
    with pytest.raises(OptionError) as caught:
        compose({"dry.dry": 1.0, "dry.base": 0.5}, registry=registry)

    assert "dry.base" == caught.value.name
    assert "dry.base should be greater than or equal to 1, got 0.5" == str(caught.value)


def test_what_a_component_raises_does_not_leak(refusal):
    message = refusal(PluginContractError, odd=1)

    assert "odd refused its options with RuntimeError: not today" == message
