"""Components are found by role, name and option; unclear names name both sides."""

from types import ModuleType

import pytest

import gpt2sdk.components
from gpt2sdk import hookimpl
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.defaults import Greedy, greedy
from gpt2sdk.errors import OptionError, PluginConflictError
from gpt2sdk.plugins.registry import Registry, default_registry


class TwoWords(LogitsProcessor):
    """A processor with two options."""

    two_words: float = 0.0
    strength: int = 1


class Stopper(StoppingCriterion):
    """A criterion that shares an option."""

    strength: int = 1


def plugin(*components, name="acme"):
    """Return a module that offers these components."""
    module = ModuleType(name)

    @hookimpl
    def gpt2sdk_components():
        return components

    module.gpt2sdk_components = gpt2sdk_components
    return module


def bare(*components, **arguments):
    """Return a registry of the core's components and these."""
    return Registry([plugin(*components)], discover=False, **arguments)


def test_names_have_a_namespace_for_each_role():
    registry = bare()

    assert Greedy is registry.find(Sampler, "greedy")
    assert greedy.component is registry.find(Strategy, "greedy")


@pytest.mark.parametrize("name", ["two_words", "two-words", "acme:two-words", "Acme:two_words"])
def test_both_spellings_and_the_plugin_before_a_colon_are_understood(name):
    assert TwoWords is bare(TwoWords).find(LogitsProcessor, name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gredy", "there is no sampler 'gredy': did you mean greedy?"),
        ("zzz", "there is no sampler 'zzz': there are greedy, multinomial"),
        ("other:greedy", "there is no sampler 'other:greedy': did you mean greedy?"),
        ("mirostat", "it is in gpt2sdk-sampling: pip install gpt2sdk-sampling"),
    ],
)
def test_unknown_names_are_answered_with_what_helps(name, message):
    with pytest.raises(OptionError) as caught:
        bare().find(Sampler, name)

    assert message in str(caught.value)
    assert ("sampler", name) == (caught.value.name, caught.value.value)


def test_a_role_without_components_says_so():
    with pytest.raises(
        OptionError, match="there is no stopping criterion 'zzz': none is installed"
    ):
        bare().find(StoppingCriterion, "zzz")


def test_a_name_of_another_role_is_no_reason_to_install_what_is_installed():
    with pytest.raises(OptionError, match=r"no sampler 'top_k': there are adaptive_p, greedy"):
        Registry(allowed=["gpt2sdk-sampling"]).find(Sampler, "top_k")


def test_a_near_name_elsewhere_says_where():
    with pytest.raises(
        OptionError, match=r"did you mean mirostat \(it is in gpt2sdk-sampling: pip"
    ):
        bare().find(Sampler, "mirostt")


def test_a_known_plugin_that_is_left_out_says_why():
    with pytest.raises(OptionError, match="which is left out: GPT2SDK_PLUGINS does not name it"):
        Registry(allowed=[]).find(Sampler, "mirostat")


def test_one_name_in_two_distributions_is_an_error_only_when_it_is_used(install, offering):
    install("fake-one", offering("Acme", "first"), entry_point="one", version="1.5")
    install("fake-two", offering("Acme", "second"), entry_point="two")
    registry = Registry(allowed=["one", "two"])

    assert Greedy is registry.find(Sampler, "greedy")
    with pytest.raises(PluginConflictError) as caught:
        registry.find(LogitsProcessor, "acme")
    with pytest.raises(PluginConflictError):
        registry.class_named("Acme")

    message = str(caught.value)
    assert "fake-one 1.5" in message
    assert "fake-two 1.0" in message
    assert "write fake-one:acme or fake-two:acme" in message
    assert ("fake-one", "1.5") == (caught.value.distribution, caught.value.version)
    assert "second" in registry.find(LogitsProcessor, "fake-two:acme").model_fields


def test_a_class_that_two_plugins_offer_is_one_component():
    registry = Registry([plugin(TwoWords), plugin(TwoWords, name="b")], discover=False)

    assert TwoWords is registry.find(LogitsProcessor, "two_words")


def test_options_are_found_by_role():
    registry = bare(TwoWords, Stopper)

    assert ["stopper", "two_words"] == [offer.name for offer in registry.having("strength")]
    found = registry.having("strength", LogitsProcessor)
    assert ["two_words"] == [offer.name for offer in found]
    assert () == registry.having("weakness")


def test_provenance_of_components():
    registry = bare(TwoWords)

    assert "gpt2sdk" == registry.origin(Greedy).distribution
    assert "acme" == registry.origin(TwoWords).plugin
    assert registry.origin(Stopper) is None


def test_offers_are_in_one_order_whatever_the_order_of_the_plugins():
    forward = Registry([plugin(TwoWords), plugin(Stopper, name="b")], discover=False)
    backward = Registry([plugin(Stopper, name="b"), plugin(TwoWords)], discover=False)

    assert list(map(str, forward.offers())) == list(map(str, backward.offers()))


def test_the_registry_of_the_process_is_one_object():
    assert default_registry() is default_registry()


def test_component_classes_are_attributes_of_a_package():
    assert Greedy is gpt2sdk.components.Greedy
    assert {"Greedy", "Multinomial", "rows"} <= set(dir(gpt2sdk.components))
    with pytest.raises(AttributeError, match="did you mean Greedy"):
        _ = gpt2sdk.components.Gredy
    with pytest.raises(AttributeError, match="has no attribute 'gredy'"):
        _ = gpt2sdk.components.gredy


def test_a_missing_class_says_what_to_install(monkeypatch):
    monkeypatch.setattr("gpt2sdk.plugins.registry.default_registry", bare)

    with pytest.raises(AttributeError, match=r"MinP: it is in .*: pip install gpt2sdk-sampling"):
        _ = gpt2sdk.components.MinP
