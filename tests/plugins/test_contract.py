"""What a plugin offers is checked before anyone can use it."""

from types import SimpleNamespace

import pytest

from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.defaults import Greedy, sample
from gpt2sdk.errors import PluginContractError
from gpt2sdk.plugins.contract import component_classes, role_name, roles_of


class Grammar(LogitsProcessor, StoppingCriterion):
    """Masks and stops."""


class Child(Grammar):
    """Has its parents' roles."""


class Loose(Component):
    """Has no role."""


class Twin(Sampler):
    """Has a name that is taken."""

    name = "greedy"


class Shouting(Sampler):
    """Has a name that nobody can type as an option."""

    name = "Loud!"


def test_the_ancestors_say_the_roles():
    assert (LogitsProcessor, StoppingCriterion) == roles_of(Grammar) == roles_of(Child)
    assert (Strategy,) == roles_of(sample.component)
    assert () == roles_of(Loose)
    assert "stopping criterion" == role_name(StoppingCriterion)


def test_classes_and_strategy_functions_are_taken():
    assert (sample.component, Greedy, Child) == component_classes([sample, Greedy, Child])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None, not a tuple of component classes"),
        ("greedy", "returned 'greedy', not a tuple"),
        (Greedy, "Greedy'>, not a tuple"),
        ((Greedy(),), "this is an instance of Greedy"),
        ((len,), "returned <built-in function len>"),
        ((SimpleNamespace(component=3),), "expected component classes and strategy functions"),
        ((Loose,), "Loose has no role: derive it from"),
        ((Greedy, Twin), "two of the sampler greedy"),
        ((Shouting,), "'Loud!', the name of Shouting, is not in snake_case"),
    ],
)
def test_anything_else_is_refused(returned, message):
    with pytest.raises(PluginContractError, match=message):
        component_classes(returned)
