"""Each option finds its component, or an error that says which were possible."""

import pytest
from pydantic import Field

from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.strategy import strategy
from gpt2sdk.errors import OptionError, PluginConflictError, PluginContractError
from gpt2sdk.generator.options import resolve
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


def test_components_that_are_named_are_searched_first(plan, chain):
    both = plan(strategy="wide", base=3.0)

    assert 3.0 == both.strategy.base
    assert {} == chain(both)
    assert {"dry": (Dry(dry=1.0, base=3.0),)} == chain(plan(dry=1.0, base=3.0))


def test_dotted_names_always_say_which(plan, chain, registry):
    both = plan(strategy="wide", wide__base=3.0, dry__dry=1.0, dry__base=2.0)

    assert 3.0 == both.strategy.base
    assert {"dry": (Dry(dry=1.0, base=2.0),)} == chain(both)
    assert chain(both) == chain(
        resolve({"strategy": "wide", "acme:dry.dry": 1.0, "acme:dry.base": 2.0}, registry=registry)
    )


def test_an_option_of_two_named_components_needs_its_dotted_name(plan, refusal):
    message = "width is an option of the strategy careful and the sampler tuned: write "
    assert message + "careful.width or tuned.width" == refusal(
        strategy="careful", sampler="tuned", width=3
    )
    assert 3 == plan(strategy="careful", sampler="tuned", careful__width=3).strategy.width


class Rival(LogitsProcessor):
    """Claims an option of another distribution's component."""

    rival: bool = False
    base: float = 1.0


def test_an_option_of_two_processors_is_an_error_that_names_both_sides(plan, refusal, plugin):
    registry = Registry([plugin(*COMPONENTS), plugin(Rival, name="rivals")], discover=False)

    message = refusal(PluginConflictError, registry=registry, dry=1.0, base=2.0)
    assert "the logits processor dry of acme" in message
    assert "the logits processor rival of rivals" in message
    assert "write dry.base or rival.base" in message
    assert 2.0 == plan(registry=registry, dry=1.0, dry__base=2.0).processors[0].variants[0].base


def test_two_processors_of_one_name_are_told_apart_by_their_distribution(refusal, plugin):
    class Dry(LogitsProcessor):
        dry: float = 0.0

    registry = Registry([plugin(*COMPONENTS), plugin(Dry, name="rivals")], discover=False)
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
def test_unknown_options_are_answered_with_what_helps(refusal, option, message):
    assert message in refusal(**{option: 1})


def test_both_spellings_mean_one_option(refusal, registry):
    assert (3,) == resolve({"max-new-tokens": 3}, registry=registry).max_new_tokens
    message = "max_new_tokens and max-new-tokens are the same option: give one"
    with pytest.raises(OptionError, match=message):
        resolve({"max_new_tokens": 3, "max-new-tokens": 3}, registry=registry)
    assert "heat and heat.heat are the same option" in refusal(heat=1.0, heat__heat=2.0)


def test_an_error_says_the_name_as_it_was_written(registry):
    with pytest.raises(OptionError) as caught:
        resolve({"dry.dry": 1.0, "dry.base": 0.5}, registry=registry)

    assert "dry.base" == caught.value.name
    assert "dry.base should be greater than or equal to 1, got 0.5" == str(caught.value)


def test_what_a_component_raises_does_not_leak(refusal):
    message = refusal(PluginContractError, odd=1)

    assert "odd refused its options with RuntimeError: not today" == message
