"""Whoever asks about texts with arguments that there are not is told what they are called here."""

import inspect
import re

import pytest
from typing_extensions import override

from gpt2sdk import Detection, Detector, Generator, OptionError, hookimpl
from gpt2sdk.generator.asking_words import CHOOSE_WORDS, DETECT_WORDS, PEEK_WORDS, SCORE_WORDS
from gpt2sdk.options import OF_LOADING
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import tiny_gpt2, tiny_tokenizer

ASKING = {
    "score": SCORE_WORDS,
    "choose": CHOOSE_WORDS,
    "detect": DETECT_WORDS,
    "next_token": PEEK_WORDS,
}
AT_LOADING = "it is chosen where the model is loaded, with runner="


class GreenMark(Detector):
    """Finds nothing."""

    hashing_key: int = 7

    @override
    def detect(self, tokens, start=0):
        return Detection(0.0, 0.0, 0.0, 0.0, 0, len(tokens))


class RedMark(GreenMark):
    """Finds as little."""


class Marks:
    """A plugin with both."""

    @hookimpl
    def gpt2sdk_components(self):
        return (GreenMark, RedMark)


@pytest.fixture(scope="module")
def gen():
    return Generator(tiny_gpt2(), tiny_tokenizer(), registry=Registry([Marks()], discover=False))


def refusal(method, *given, **arguments):
    with pytest.raises(OptionError) as caught:
        method(*given, **arguments)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("method", ["generate", "stream", "next_token", "score"])
def test_what_belongs_to_loading_is_said_to(gen, method):
    error = refusal(getattr(gen, method), "a", runner="torch")

    assert AT_LOADING in str(error)
    assert ("runner", "torch") == (error.name, error.value)


def test_so_it_is_where_options_or_a_detector_are_given(gen):
    refusals = [
        refusal(gen.choose, "a", [" b", " c"], runner="torch"),
        refusal(gen.detect, "a", "green_mark", runner="torch"),
        refusal(gen.explain, runner="torch"),
    ]

    assert [AT_LOADING in str(error) for error in refusals] == [True] * 3


def test_our_own_arguments_of_loading_are_all_known_as_such():
    loading = list(inspect.signature(Generator.from_pretrained).parameters)

    assert [name for name in loading if name not in {"name", "prefix_cache"}] == list(OF_LOADING)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("strid", "score has no argument strid: did you mean stride?"),
        ("unknown", "score has no argument unknown: it has text, window, stride, bos, context"),
        ("prefixes", "context is what stands before, and is not scored itself"),
        ("load_in_8bit", "load_in_8bit: it is chosen where the model is loaded"),
        ("temperature", "the options of a call are given to generate and stream"),
        ("config", "presets and records are for generate, stream and explain, and for detect"),
        ("max_seq_leng", "window is the most tokens that a prediction sees"),
    ],
)
def test_scoring_is_answered_in_our_words(gen, argument, message):
    error = refusal(gen.score, "a b", **{argument: 1})

    assert message in str(error)
    assert (argument, 1) == (error.name, error.value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("normalisation", "choose has no argument normalisation: did you mean normalization?"),
        ("candidates", "options is the second argument: a list of texts or token ids"),
        ("unknown", "choose has no argument unknown: it has prompt, options, normalization"),
    ],
)
def test_choosing_is_answered_in_our_words(gen, argument, message):
    assert message in str(refusal(gen.choose, "a", [" b", " c"], **{argument: 1}))


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("score", {}, "score has no text: text is the first argument"),
        ("score", {"texts": ["a"]}, "score has no argument texts: text is the first argument"),
        ("choose", {"prompt": "a"}, "choose has no options: options is the second argument"),
        ("detect", {"texts": ["a"]}, "detect has no text: text is the first argument"),
        ("engine", {"batchsize": 3}, "engine has no argument batchsize: did you mean batch_size?"),
    ],
)
def test_what_is_missing_is_said(gen, method, given, message):
    assert message in str(refusal(getattr(gen, method), **given))


def test_loading_nothing_is_answered_too():
    error = refusal(Generator.from_pretrained)

    assert "from_pretrained has no name: name is the first argument" in str(error)


@pytest.mark.parametrize(
    ("detector", "options", "message"),
    [
        ("green_mrak", {}, "there is no detector 'green_mrak': did you mean green_mark?"),
        ("green", {}, "there is no detector 'green': did you mean green_mark?"),
        ("mark", {}, "did you mean green_mark or red_mark?"),
        ("gre", {}, "there is no detector 'gre': there are green_mark, red_mark"),
        ("red-mark", {"hashing_ky": 1}, "did you mean hashing_key?"),
        ("red_mark", {"wood": 1}, "wood is not an option of the detector red_mark: expected hash"),
    ],
)
def test_detectors_and_their_options_have_near_names(gen, detector, options, message):
    assert message in str(refusal(gen.detect, "a b", detector, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": {"top_p": 0.5}}, "next_token(prompt, **options)"),
        ({"top": 3}, "n says how many of the likeliest tokens to name"),
        ({"engine": None}, "engine is no option of next_token: there is nothing to set"),
    ],
)
def test_the_next_token_is_answered_in_our_words(gen, options, message):
    assert message in str(refusal(gen.next_token, "a", **options))


@pytest.mark.parametrize("method", ASKING)
def test_hints_name_arguments_that_exist_and_no_others(method):
    ours = set(inspect.signature(getattr(Generator, method)).parameters)
    for row in ASKING[method].values():
        mentioned = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|\b\w+(?==)", row.hint))
        assert set(row.here) <= ours
        assert set() == mentioned - ours - {"next_token"}
        assert set() == {name for name in row.here if not re.search(rf"\b{name}\b", row.hint)}
    assert set() == ASKING[method].keys() & ours


def test_type_checkers_see_what_there_is():
    kinds = {each.kind for each in inspect.signature(Generator.score).parameters.values()}

    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
