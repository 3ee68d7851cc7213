"""What a caller gives a detector: texts or ids, alone or in lists, behind a prompt or not."""

import pytest
from typing_extensions import override

from gpt2sdk import Detection, Detector, Generator, LogitsProcessor, OptionError, Sampler, hookimpl
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableModel


class Marked(Detector):
    """Counts a token."""

    token: int = 0

    @override
    def detect(self, tokens, start=0):
        count = list(tokens[start:]).count(self.token)
        return Detection(0.0, float(count), 0.0, 1.0, count, len(tokens) - start)


class Bias(LogitsProcessor, Detector):
    """A mark of a key."""

    bias: float = 0.0
    hashing_key: int = 5

    @override
    def process(self, logits, rows):
        return logits

    @override
    def detect(self, tokens, start=0):
        return Detection(0.0, 0.0, 0.0, 1.0, 0, len(tokens) - start)


class Draw(Sampler, Detector):
    """Another one, which draws."""

    hashing_key: int = 5

    @override
    def choose(self, logits, rows):
        return logits.argmax(-1)

    @override
    def detect(self, tokens, start=0):
        return Detection(0.0, 0.0, 0.0, 1.0, 0, len(tokens) - start)


class Plugin:
    """Offers them."""

    @hookimpl
    def gpt2sdk_components(self):
        return (Marked, Bias, Draw)


@pytest.fixture
def generator():
    letters = Letters()
    return Generator(TableModel(29), letters, decoder=letters, registry=Registry([Plugin()]))


def test_a_text_gives_a_detection_and_a_list_a_list(generator):
    assert 2.0 == generator.detect("abca", "marked").statistic
    assert [2.0, 0.0] == [each.statistic for each in generator.detect(["aa", "b"], "marked")]
    assert [1.0] == [each.statistic for each in generator.detect([[0, 1]], Marked())]
    assert 1.0 == generator.detect([0, 1], Marked()).statistic


def test_options_are_the_detectors(generator):
    assert 2.0 == generator.detect("cca", "marked", token=2).statistic
    assert 2.0 == generator.detect("cca", "marked", **{"marked.token": 2}).statistic


def test_a_prompt_is_context_only(generator):
    found = generator.detect(["ab", "a"], "marked", prompt=["aaa", "b"])

    assert [(1.0, 2), (1.0, 1)] == [(each.statistic, each.token_count) for each in found]
    assert 2 == generator.detect("ab", "marked", prompt="aaa").token_count


def test_nothing_is_found_in_no_text(generator):
    assert 0 == generator.detect("", "marked").token_count
    assert 0 == generator.detect([], "marked").token_count


@pytest.mark.parametrize(
    ("text", "detector", "options", "said"),
    [
        ("a", "nobody", {}, "there is no detector 'nobody'"),
        ("a", "greedy", {}, "there is no detector 'greedy'"),
        ("a", "marked", {"tokens": 1}, "of the detector marked: did you mean token"),
        ("a", "marked", {"wood": 1}, "of the detector marked: expected token"),
        ("a", "marked", {"token": "x"}, "token should be a valid integer"),
        ("a", Marked(), {"token": 1}, "handed in ready-made"),
        ([99], "marked", {}, "token id 99, expected 0 to 28"),
        (["a", "b", "c"], "marked", {"prompt": ["a", "b"]}, "prompt has 2 texts for 3"),
    ],
)
def test_what_cannot_be_judged_is_refused(generator, text, detector, options, said):
    with pytest.raises(OptionError, match=said):
        generator.detect(text, detector, **options)


class Marking(Marked, LogitsProcessor):
    """Likes a token, and counts it."""

    likes: float = 0.0
    token: int = 0

    @override
    def process(self, logits, rows):
        liked = logits.clone()
        liked[:, self.token] += self.likes
        return liked


class MarkingPlugin:
    """Offers it."""

    @hookimpl
    def gpt2sdk_components(self):
        return (Marking,)


@pytest.fixture
def marking():
    letters = Letters()
    return Generator(TableModel(29), letters, decoder=letters, registry=Registry([MarkingPlugin()]))


def test_a_result_and_its_record_say_what_is_to_be_looked_for(marking):
    result = marking.generate(["a", "b"], likes=99.0, token=5, max_new_tokens=4, seed=1)
    (first, second) = marking.detect(result, config=result.record)

    assert (4.0, 4.0) == (first.statistic, second.statistic)
    assert 4.0 == marking.detect(result.texts[0], config=result.record).statistic
    assert 0.0 == marking.detect(result.texts[0], config=result.record, token=6).statistic
    assert 4.0 == marking.detect(result.texts[0], "marking", config={"token": 5}).statistic
    assert 4.0 == marking.detect(result, "marking", config=result.record.as_dict())[1].statistic


def test_a_record_of_columns_is_read_prompt_by_prompt(marking):
    result = marking.generate(["a", "b"], likes=99.0, token=[5, 6], max_new_tokens=4, seed=1)

    with pytest.raises(OptionError, match=r"token differ from prompt to prompt.*for_prompt"):
        marking.detect(result, config=result.record)
    alone = result.record.for_prompt(1)
    assert 4.0 == marking.detect(result.texts[1], config=alone).statistic


def test_what_no_record_says_is_asked_for(marking):
    plain = marking.generate("a", max_new_tokens=2, seed=1)

    with pytest.raises(
        OptionError, match=r"which detector\? give its name, detector=.*there are .*marking"
    ):
        marking.detect("a")
    with pytest.raises(OptionError, match="the record has no mark: give the settings themselves"):
        marking.detect(plain, config=plain.record)
    with pytest.raises(OptionError, match="name the detector they are for"):
        marking.detect("a", config={"token": 5})


PUBLIC = "the hashing_key is the default, which everybody knows: give your own with hashing_key="


@pytest.mark.parametrize(
    ("options", "notes"),
    [
        ({"bias": 1.0}, (PUBLIC,)),
        ({"bias": 1.0, "bias.hashing_key": 6}, ()),
        ({"bias": 1.0, "bias.hashing_key": 5}, (PUBLIC,)),
        ({"bias": 1.0, "bias.hashing_key": [6, 5, 5]}, (PUBLIC,)),
        ({"bias": [None, 0.0, 1.0]}, (PUBLIC,)),
        ({"processors": [Bias(bias=1.0)]}, (PUBLIC,)),
        ({"sampler": "draw"}, (PUBLIC,)),
        ({"sampler": "draw", "bias": 1.0}, (PUBLIC,)),
        ({"sampler": "draw", "draw.hashing_key": 6}, ()),
        ({}, ()),
    ],
)
def test_a_key_that_everybody_knows_is_noted_once_of_a_call(generator, options, notes):
    result = generator.generate(["a", "b", "c"], max_new_tokens=2, **options)

    assert notes == result.notes
    stream = generator.stream(["a", "b", "c"], max_new_tokens=2, **options)
    assert notes == stream.result.notes


@pytest.mark.parametrize(
    ("detector", "options", "notes"),
    [
        ("bias", {}, (PUBLIC,)),
        ("bias", {"hashing_key": 6}, ()),
        (Bias(), {}, (PUBLIC,)),
        ("marked", {}, ()),
    ],
)
def test_so_it_is_of_a_detection(generator, detector, options, notes):
    assert notes == generator.detect("abc", detector, **options).notes
