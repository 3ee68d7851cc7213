"""What rules tokens out: bad words and the least length."""

from types import SimpleNamespace

import pytest
import torch

from gpt2sdk import Generator, OptionError, PluginContractError, Prompt
from gpt2sdk.testing import Letters, TableModel, make_rows, process, tiny_tokenizer
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.bad_words import BadWords
from gpt2sdk_sampling.min_new_tokens import MinNewTokens

LETTERS = Letters()
FLAT = [[0.0] * len(LETTERS.alphabet)]


def banned(words, text, prompt_length=1):
    """Return the characters that may not follow a text."""
    history = LETTERS.encode(text)
    rows = make_rows([history], prompt_lengths=[prompt_length])
    found = process(BadWords(bad_words=words), FLAT, rows)
    return LETTERS.decode(found[0].isneginf().nonzero()[:, 0].tolist())


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        (["cat"], "a ca", "t"),
        (["cat"], "a c", ""),
        (["cat"], "ca", "t"),
        (["cat"], "a", ""),
        (["cat", "can", "car"], "ca", "nrt"),
        ("e", "th", "e"),
        ([[2, 0]], "c", "a"),
        ([" at"], "a", ""),
        ([" at"], "c a", "t"),
        ([" at"], "ca", ""),
    ],
)
def test_the_last_character_of_a_bad_word_is_ruled_out(words, text, expected):
    assert expected == banned(words, text)


def test_a_bad_word_may_begin_in_the_prompt():
    assert "t" == banned(["cat"], "ca", prompt_length=2)


def test_text_is_banned_with_and_without_a_blank_before_it():
    class Words(Letters):
        def encode(self, text, *, allow_special=False):
            return {"cat": [0], " cat": [1], " dog": [2]}[text]

    prompts = [row.prompt for row in make_rows([[5]]).records]
    session = open_session(prompts, vocab_size=6)
    session.vocabulary = Words()
    run = BadWords(bad_words=["cat", " dog"]).start(session)

    assert {0, 1, 2} == run.alone


@pytest.mark.parametrize(
    ("word", "alone", "endings"),
    [
        ("<|endoftext|>", {277}, {1: {(220,): (277,)}}),
        ("a<|endoftext|>", set(), {1: {(64,): (277,), (261,): (277,)}}),
    ],
)
def test_a_special_token_in_a_bad_word_is_that_token(word, alone, endings):
    session = open_session([row.prompt for row in make_rows([[0]]).records], vocab_size=278)
    session.vocabulary = tiny_tokenizer()

    run = BadWords(bad_words=[word]).start(session)

    assert alone == run.alone
    assert endings == run.endings


def test_an_end_token_alone_is_no_bad_word():
    rows = make_rows([[0]], eos_token_ids=[2])

    found = process(BadWords(bad_words=[[1], [2], [0, 2]]), [[0.0, 0.0, 0.0, 0.0]], rows)

    assert [False, True, True, False] == found[0].isneginf().tolist()


def test_each_row_spares_its_own_end_tokens():
    rows = make_rows([[0]] * 3)
    for row, ends in zip(rows.records, [{2}, {1, 99}, set()], strict=True):
        row.prompt = Prompt(row.prompt.index, (0,), eos_token_ids=frozenset(ends))
    session = open_session([row.prompt for row in rows.records], vocab_size=4)

    run = BadWords(bad_words=[[1], [2]]).start(session)
    out = run.process(torch.zeros(3, 4), rows).isneginf()

    assert [[1], [2], [1, 2]] == [row.nonzero()[:, 0].tolist() for row in out]


def test_a_row_without_any_token_left_is_an_error():
    with pytest.raises(PluginContractError, match="bad_words left it no token"):
        process(BadWords(bad_words=[[0], [1]]), [[0.0, 0.0]])


@pytest.mark.parametrize("words", [[""], [[]], [11, 12], [[-1]], [["a"]]])
def test_what_is_no_word_is_refused(words):
    with pytest.raises(OptionError, match="a text or a list of token ids"):
        BadWords(bad_words=words)


def test_a_text_without_tokens_cannot_be_banned():
    session = open_session([row.prompt for row in make_rows([[0]]).records], vocab_size=6)
    session.vocabulary = SimpleNamespace(encode=lambda _text, *, allow_special: [])

    with pytest.raises(OptionError, match="bad_words has no tokens in 'x'"):
        BadWords(bad_words="x").start(session)


def test_a_bad_word_needs_tokens_that_exist():
    with pytest.raises(OptionError, match="bad_words names token 9"):
        process(BadWords(bad_words=[[9]]), [[0.0, 0.0]])


def test_end_tokens_are_ruled_out_until_the_least_length():
    rows = make_rows([[0], [0, 2], [0, 2, 2]], prompt_lengths=[1, 1, 1], eos_token_ids=[1, 3])

    found = process(MinNewTokens(min_new_tokens=2), [[0.0] * 5] * 3, rows).isneginf()

    out = [False, True, False, True, False]
    assert [out, out, [False] * 5] == found.tolist()


def test_a_least_length_without_end_tokens_is_refused():
    with pytest.raises(OptionError, match="min_new_tokens holds end tokens back, and there are no"):
        MinNewTokens(min_new_tokens=2).check_prompt(Prompt(0, (1,), max_new_tokens=9))


def test_a_least_length_above_the_greatest_is_refused():
    prompt = Prompt(3, (1, 2), max_new_tokens=9, eos_token_ids=frozenset([0]))
    MinNewTokens(min_new_tokens=9).check_prompt(prompt)

    with pytest.raises(OptionError, match="at most max_new_tokens, which is 9 for prompt 3"):
        MinNewTokens(min_new_tokens=10).check_prompt(prompt)


def test_an_end_token_that_the_model_does_not_have_is_no_matter():
    rows = make_rows([[0]], eos_token_ids=[1, 99])

    assert [[0.0, float("-inf")]] == process(
        MinNewTokens(min_new_tokens=2), [[0.0, 0.0]], rows
    ).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_new_tokens": 6, "max_new_tokens": 5}, "min_new_tokens=6: expected at most"),
        ({"min_new_tokens": [5, 9], "max_new_tokens": [5, 8]}, "which is 8 for prompt 1"),
        ({"min_new_tokens": 129}, "which is 128 for prompt 0"),
        ({"min_new_tokens": 2, "eos_token_id": None}, "holds end tokens back, and there are none"),
    ],
)
@pytest.mark.parametrize("call", ["generate", "stream"])
def test_least_lengths_are_looked_at_before_any_work(call, options, message):
    generator = Generator(TableModel(3), LETTERS, decoder=LETTERS, eos_token_ids=[1])
    with pytest.raises(OptionError, match=message):
        getattr(generator, call)(["a", "b"], **options)

    fitting = {"min_new_tokens": [5, 9], "max_new_tokens": [5, 9]}
    completions = generator.generate(["a", "b"], **fitting).completions
    assert [5, 9] == [len(each.tokens) for each in completions]
