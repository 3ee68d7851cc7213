"""Decisions: the probabilities of whole texts, with every prompt read once."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk import ContextOverflowError, GenerationError, Generator, OptionError
from gpt2sdk.generator.choosing import normalization_of
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer

PROMPTS = ["Once upon", "the cat sat on the mat", "a", "On"]
OPTIONS = [" a time", " a", " the cat", "ce", "ly the", " time"]


@pytest.fixture(scope="module")
def gen():
    return Generator(tiny_gpt2(), tiny_tokenizer())


def letters(language=None, **model):
    language = language or Letters()
    return Generator(TableModel(**model), language, decoder=language, eos_token_ids=[])


def test_probabilities_of_a_uniform_model_can_be_counted():
    decision = letters(scale=0.0).choose("ab", ["c", "dd"])

    assert decision.logprobs == pytest.approx((-math.log(28), -2 * math.log(28)))
    assert decision.probabilities == pytest.approx((28 / 29, 1 / 29))
    assert (decision.best, decision.index) == ("c", 0)
    assert (decision.token_counts, decision.byte_counts) == ((1, 2), (1, 2))


@pytest.mark.parametrize("normalization", ["token", "byte"])
def test_means_of_a_uniform_model_are_equal(normalization):
    decision = letters(scale=0.0).choose("ab", ["c", "dd"], normalization=normalization)

    assert decision.scores == pytest.approx((-math.log(28),) * 2)
    assert decision.probabilities == pytest.approx((0.5, 0.5))
    assert decision.logprobs == pytest.approx((-math.log(28), -2 * math.log(28)))


def test_probabilities_are_those_of_whole_texts(gen):
    for prompt, decision in zip(PROMPTS, gen.choose(PROMPTS, OPTIONS), strict=True):
        wholes = [-gen.score(f"{prompt}{option}", bos=True).nats for option in OPTIONS]
        if prompt == "On":  # "Once" is one token: nothing of the prompt is certain
            expected = torch.tensor(wholes).softmax(0).tolist()
        else:
            texts = [gen.score(prompt + each, bos=False, context="") for each in OPTIONS]
            expected = torch.tensor([-each.nats for each in texts]).softmax(0).tolist()
        assert decision.probabilities == pytest.approx(expected, abs=1e-6)
        assert decision.options == tuple(OPTIONS)


def test_an_option_that_merges_with_the_prompt_is_compared_by_the_whole(gen):
    decision = gen.choose("the On", ["ce", "ly"])
    wholes = [-gen.score(f"the On{each}", bos=False).nats for each in ("ce", "ly")]

    assert decision.probabilities == pytest.approx(torch.tensor(wholes).softmax(0).tolist())
    assert decision.byte_counts == (2, 2)


def test_options_that_begin_alike_are_ordered_as_the_texts_are(gen):
    decision = gen.choose("Once upon", [" a", " a time", " a time the"])

    assert list(decision.logprobs) == sorted(decision.logprobs, reverse=True)
    assert decision.token_counts == (1, 2, 3)


def test_a_decision_agrees_with_the_next_token(gen):
    decision = gen.choose("Once upon", [" a", " the"])
    following = gen.next_token("Once upon", n=278)
    logprobs = dict(zip(following.texts, following.logprobs, strict=True))

    assert decision.logprobs == pytest.approx([logprobs[" a"], logprobs[" the"]], abs=1e-5)


def test_ids_texts_and_lists_for_each_prompt(gen):
    ids = gen.tokenizer.encode
    one, other = gen.choose(["Once upon", "the"], [[" a", " the"], [" cat", " rat", " mat"]])
    same = gen.choose(ids("Once upon"), [ids(" a"), ids(" the")])

    assert (one.options, one.logprobs) == (same.options, pytest.approx(same.logprobs, abs=1e-6))
    assert (other.options, other.prompt_index) == ((" cat", " rat", " mat"), 1)
    assert other.logprobs == pytest.approx(gen.choose("the", other.options).logprobs, abs=1e-6)


def test_an_empty_prompt_is_the_bos_token(gen):
    decision = gen.choose("", ["Once", "the"])

    assert decision.logprobs == pytest.approx(
        [-gen.score(each).nats for each in decision.options], abs=1e-5
    )
    with pytest.raises(OptionError, match="prompt 0 has no token before its options"):
        letters().choose("", ["a", "b"])


def test_a_prompt_is_fed_once_for_all_its_options():
    gen = letters(order=3)
    gen.choose("a" * 20, ["b", "cd", "ce", "fgh"])

    assert gen.model.tokens_fed == 20 + len("c" + "fg")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text("abc", min_size=1, max_size=20), min_size=1, max_size=6),
    st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=5, unique=True),
    st.sampled_from(["sum", "token", "byte"]),
)
def test_prompts_are_strangers(prompts, options, normalization):
    gen = letters(order=4)
    together = gen.choose(prompts, options, normalization=normalization)

    for prompt, decision in zip(prompts, together, strict=True):
        alone = gen.choose(prompt, options, normalization=normalization)
        assert decision.logprobs == alone.logprobs
        assert math.fsum(decision.probabilities) == pytest.approx(1.0)
        for option, logprob in zip(options, decision.logprobs, strict=True):
            whole = gen.score(prompt + option, bos=False)
            assert logprob == math.fsum(whole.logprobs[-len(option) :])


def test_options_that_cannot_come_have_no_probability():
    gen = letters(bias={2: -math.inf, 3: -math.inf})

    assert gen.choose("a", ["b", "c"]).probabilities == (1.0, 0.0)
    with pytest.raises(GenerationError, match="prompt 1: the model rules out every option"):
        gen.choose(["a", "a"], [["b", "c"], ["c", "ad"]])


def test_a_prompt_has_to_fit_with_its_options():
    gen = letters(context_length=8)

    assert gen.choose("abcdefg", ["ab", "c"]).token_counts == (2, 1)
    with pytest.raises(ContextOverflowError, match="prompt 0 with option 1 has 10 tokens"):
        gen.choose("abcdefg", ["ab", "abc"])


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ("a", [], "options is [], expected a list of texts or token ids"),
        ("a", "b", "options is 'b', expected a list of texts"),
        ("a", ["b", ""], "option 1 of prompt 0 is empty"),
        (["a", "b"], [["b"], []], "prompt 1 has no options: expected a list of texts"),
        ("a", ["b", "c", "b"], "prompt 0 has the option 'b' twice: give it once"),
        (["a", "b", "c"], [["b"], ["c"]], "there are 2 lists of options for 3 prompts"),
        ("a", [[5, 300]], "option 0 of prompt 0 has token id 300, expected 0 to 277"),
        ([-1], ["b"], "prompt 0 has token id -1"),
        ([], ["b"], "there is no prompt"),
    ],
)
def test_what_is_wrong_is_said(gen, prompt, options, message):
    with pytest.raises(OptionError) as caught:
        gen.choose(prompt, options)
    assert message in str(caught.value)


def test_a_normalization_that_there_is_not():
    with pytest.raises(OptionError, match="normalization is 'char', expected one of sum, token"):
        normalization_of("char")
