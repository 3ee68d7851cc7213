"""Replay: what is given is written, with its real log-probabilities, as far as rows go."""

import math

import pytest

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer

LETTERS = Letters("abcdefgh.")
END = 9


def make_generator():
    model = TableModel(END + 1, order=2, seed=4)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def replayed(prompts, continuation, **options):
    return make_generator().generate(
        prompts, strategy="replay", continuation=continuation, **options
    )


def test_each_prompt_gets_its_continuation():
    result = replayed(["a", "b", "c"], ["abc", [3, END], ""], batch_size=2)

    assert ["abc", "d", ""] == result.texts
    assert [(0, 1, 2), (3, END), ()] == [one.tokens for one in result.completions]
    reasons = [one.finish_reason for one in result.completions]
    assert ["strategy", "end_token", "strategy"] == reasons


@pytest.mark.parametrize("continuation", ["hg", [7, 6], ["hg"], [[7, 6]]])
def test_one_continuation_is_that_of_all_prompts(continuation):
    assert ["hg"] * 4 == replayed(["a", "b"], continuation, num_return_sequences=2).texts


def test_logprobs_are_the_models_own():
    model = make_generator().model
    one = replayed("ab", "cde", logprobs=0).completions[0]
    logits = model.score(model.make_cache(1), [[0, 1, 2, 3, 4]], [4]).logits.log_softmax(-1)

    expected = [float(logits[at, token]) for at, token in enumerate([2, 3, 4])]
    assert pytest.approx(expected, abs=1e-5) == list(one.logprobs)


def test_a_greedy_completion_replayed_has_the_same_logprobs_and_text():
    tokenizer = tiny_tokenizer()
    generator = Generator(tiny_gpt2(), tokenizer)
    prompts, options = ["Once upon", "the"], {"logprobs": 0, "repetition_penalty": 1.3}
    first = generator.generate(prompts, strategy="greedy", max_new_tokens=9, **options)
    again = generator.generate(
        prompts,
        strategy="replay",
        continuation=[list(one.tokens) for one in first.completions],
        drafter="prompt_lookup",
        **options,
    )

    assert first.texts == again.texts
    for one, other in zip(first.completions, again.completions, strict=True):
        assert pytest.approx(one.processed_logprobs, abs=1e-4) == list(other.processed_logprobs)


def test_criteria_and_limits_act():
    result = replayed(["a", "b", "c"], "abcdef", stop=["cd"], max_new_tokens=[9, 2, 9])

    assert ["ab", "ab", "ab"] == result.texts
    assert ["stop_string", "length", "stop_string"] == [
        one.finish_reason for one in result.completions
    ]


def test_a_token_that_is_ruled_out_is_not_written():
    result = replayed(["a", "b"], ["abcd", "aacd"], bad_words=[[1, 2]], logprobs=0)

    assert [("ab", "ruled_out"), ("aacd", "strategy")] == [
        (one.text, one.finish_reason) for one in result.completions
    ]
    assert all(math.isfinite(each) for one in result.completions for each in one.processed_logprobs)


def test_entries_beyond_the_last_prompt_are_left_over():
    result = replayed(["a", "b"], ["ab", "c", "d"])

    assert ["ab", "c"] == result.texts


def test_what_is_longer_than_there_is_room_says_so():
    one = replayed("a", "abcd" * 40).completions[0]

    assert (128, "length") == (len(one.tokens), one.finish_reason)


@pytest.mark.parametrize(
    ("continuation", "message"),
    [
        (["a", "b"], "continuation has 2 entries, but there is a prompt 2"),
        ([[1, 10]], "continuation names token 10: expected an id below 10"),
        ([-1], "continuation names token -1: expected an id of 0 or more"),
        ([["a"]], "continuation"),
        (5, "continuation"),
    ],
)
def test_what_cannot_be_written_is_refused(continuation, message):
    with pytest.raises(Exception, match=message) as caught:
        replayed(["a", "b", "c"], continuation)
    assert isinstance(caught.value.__cause__ or caught.value, OptionError)
