"""Options on the command line have their components' types."""

import pytest

from gpt2sdk import LogitsProcessor, OptionError, hookimpl
from gpt2sdk.cli.given_options import read_options
from gpt2sdk.options import compose
from gpt2sdk.plugins.registry import Registry


class Dry(LogitsProcessor):
    """A processor with several options."""

    dry_amount: float = 0.0
    base: float = 1.75
    breakers: tuple[str, ...] = ()


class Plugin:
    """Offers it."""

    @hookimpl
    def gpt2sdk_components(self):
        return (Dry,)


@pytest.fixture(scope="module")
def registry():
    return Registry([Plugin()])


@pytest.fixture(scope="module")
def in_force(registry):
    """Return what says which of some options are in force, and with which values."""

    def in_force(names, written, flags=None):
        composition = compose(read_options(written, flags or {}), registry=registry)
        return {name: composition.in_force[name] for name in names}

    return in_force


def test_a_name_has_one_component(in_force):
    expected = {"dry_amount": 1.0, "base": 2.0, "breakers": ["5"]}

    assert expected == in_force(expected, ["dry.base=2", "breakers=5", "dry-amount=1"])


def test_a_strategy_has_its_own_options(in_force):
    expected = {"strategy": "beam", "early_stopping": "never"}
    assert expected == in_force(expected, ["strategy=beam", "early_stopping=never"])

    expected = {"strategy": "beam", "num_beams": 3}
    assert expected == in_force(expected, ["num_beams=3"], {"strategy": "beam", "seed": None})


def test_a_shared_option_is_read_like_that_of_one_component(in_force):
    expected = {
        "top_p": 0.9,
        "top_p.min_tokens_to_keep": 2,
        "min_p": 0.1,
        "min_p.min_tokens_to_keep": 3,
    }
    written = ["top_p=0.9", "min_tokens_to_keep=2", "min-p.min-tokens-to-keep=3", "min_p=.1"]

    assert expected == in_force(expected, written)


def test_settings_and_lists_for_each_prompt_are_read_too(registry):
    written = ["max_new_tokens=[2, 3]", 'stop={"each": ["a=b", null]}', "eos_token_id=7"]
    composition = compose(read_options(written, {}), registry=registry, prompts=2)

    assert (2, 3) == composition.max_new_tokens
    assert frozenset({7}) == composition.eos_token_ids
    assert {"each": [["a=b"], None]} == composition.in_force["stop"]


def test_a_value_may_contain_an_equals_sign(in_force):
    assert {"stop": ["a=b"]} == in_force(["stop"], ["stop=a=b"])


@pytest.mark.parametrize(
    ("written", "flags", "message"),
    [
        (["top_k=1", "top-k=2"], {}, "top-k is given twice"),
        (["top_k=1"], {"top_k": 2}, "top_k is given twice"),
        (["=1"], {}, "-o =1: expected name=value"),
        (["num_beams=2"], {}, "num_beams is an option of the strategies beam, beam_sample"),
        (["temperature=warm"], {}, "temperature should be a valid number, got 'warm'"),
        (["dry.bass=2"], {}, "dry.bass is not an option: dry has dry_amount, base, breakers"),
    ],
)
def test_mistakes_say_what_to_do(registry, written, flags, message):
    with pytest.raises(OptionError, match=message):
        compose(read_options(written, flags), registry=registry)
