"""What only one processor of a prompt may do: two that do it are refused before any work."""

from typing import ClassVar

import pytest
import torch

from gpt2sdk import Generator, LogitsProcessor, OptionError, each, hookimpl
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableModel


class Sound(LogitsProcessor):
    """Makes a token likely: the one that its switch names."""

    def process(self, logits, rows):
        return logits.index_fill(1, torch.tensor([getattr(self, self.switch())]), 20.0)


class Rhyme(Sound):
    """Says how a text sounds."""

    alone: ClassVar[str] = "says how a text sounds"
    rhyme: int = 0


class Meter(Sound):
    """Says it, too."""

    alone: ClassVar[str] = "says how a text sounds"
    meter: int = 0


class Hue(Sound):
    """Says something else."""

    alone: ClassVar[str] = "says what colour it has"
    hue: int = 0


class Free(Sound):
    """May do what it does beside others."""

    free: int = 0


class Plugin:
    """Offers them by name."""

    @hookimpl
    def gpt2sdk_components(self):
        return Rhyme, Meter, Hue, Free


@pytest.fixture
def gen():
    letters = Letters("abc")
    return Generator(
        TableModel(4), letters, decoder=letters, eos_token_ids=[3], registry=Registry([Plugin()])
    )


def go(gen, prompts=("a", "b"), **options):
    return gen.generate(list(prompts), max_new_tokens=2, seed=1, **options)


def test_two_that_do_the_same_are_refused_by_name_before_any_work(gen):
    with pytest.raises(OptionError) as caught:
        go(gen, processors=[Rhyme(rhyme=1), Meter(meter=2)])

    assert str(caught.value) == (
        "rhyme and meter cannot act on one prompt: each says how a text sounds; give one"
    )
    assert 0 == gen.model.calls


def test_one_twice_is_refused_too(gen):
    with pytest.raises(OptionError, match="rhyme and rhyme cannot act on one prompt"):
        go(gen, processors=[Rhyme(rhyme=1), Rhyme(rhyme=2)])


def test_prompts_may_have_one_each(gen):
    result = go(gen, rhyme=each([1, None]), meter=each([None, 2]))

    assert ["bb", "cc"] == result.texts


def test_one_prompt_with_two_is_enough_to_be_refused(gen):
    with pytest.raises(OptionError, match="meter and rhyme cannot act on one prompt"):
        go(gen, rhyme=[1, 1], meter=each([None, 2]))


def test_what_is_off_is_not_counted(gen):
    assert ["bb", "bb"] == go(gen, rhyme=1, meter=0).texts


@pytest.mark.parametrize("other", [Hue(hue=1), Free(free=1)])
def test_others_may_act_beside_it(gen, other):
    assert ["bb", "bb"] == go(gen, processors=[Rhyme(rhyme=1), other]).texts


def test_several_that_claim_nothing_go_together(gen):
    assert ["bb", "bb"] == go(gen, processors=[Free(free=1), Free(free=1)]).texts
