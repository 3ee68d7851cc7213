"""Biases of texts: the same however the text is cut, and for as long as they last."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, make_rows, process, tiny_tokenizer
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.aho_corasick import AhoCorasick
from gpt2sdk_sampling.expiring_bias import ExpiringBias
from gpt2sdk_sampling.phrase_bias import PhraseBias
from gpt2sdk_sampling.spelling import Spelling

TOKENIZER = tiny_tokenizer()
BYTES = TOKENIZER.token_bytes
LETTERS = Letters()
texts = st.text("ab", min_size=1, max_size=4)


def cut(text, seed):
    """Cut a text into tokens at random, down to single bytes."""
    generator, left, tokens = random.Random(seed), text.encode(), []  # noqa: S311
    while left:
        fitting = [token for token, own in enumerate(BYTES[:-1]) if own and left.startswith(own)]
        tokens.append(generator.choice(fitting))
        left = left[len(BYTES[tokens[-1]]) :]
    return tokens


def total(processor, tokens, prompt):
    """Return what a processor adds to the logits of these tokens, one after another."""
    row = make_rows([prompt], prompt_lengths=[len(prompt)]).records[0]
    session = open_session([row.prompt], vocab_size=TOKENIZER.vocab_size)
    session.vocabulary = TOKENIZER
    run = processor.start(session)
    added = 0.0
    for token in tokens:
        added += float(run.process(torch.zeros(1, TOKENIZER.vocab_size), session.rows)[0, token])
        session.append([token])
    return added


@given(st.lists(texts, max_size=4), st.text("abc", max_size=12))
def test_patterns_are_found_where_they_are(patterns, text):
    _, found = AhoCorasick([each.encode() for each in patterns]).walk(0, text.encode())

    assert sum(text.startswith(each, at) for each in patterns for at in range(len(text))) == len(
        found
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("phrases", "text", "expected"),
    [
        ({" the time": 9.0}, "upon the time and the end", 9.0),
        ({" the time": 9.0}, "and then up the ti", 7.0),
        ({" the time": -9.0}, "upon the time and the ti", -9.0),
        ({"é€": 5.0}, "aé€é", 5.0 + 2.0),
        ({"aa": 1.0}, "aaaa", 3.0 + 0.5),
        ({" the": 4.0, "the": 3.0, "he end": -2.0}, " the end", 4.0 + 3.0 - 2.0),
    ],
)
def test_a_text_is_worth_the_same_in_any_tokens(phrases, text, expected, seed):
    added = total(PhraseBias(phrase_bias=phrases), cut(text, seed), [5])

    assert expected == pytest.approx(added, abs=1e-5)


def test_a_phrase_may_begin_in_the_prompt_and_inside_a_token():
    token = TOKENIZER.encode(" and")[0]

    added = total(PhraseBias(phrase_bias={"xy and": 6.0}), [token], TOKENIZER.encode("xy"))
    assert 6.0 - 2.0 == pytest.approx(added)  # a third of it was written before
    added = total(PhraseBias(phrase_bias={"nd the": 6.0}), [token], [5])
    assert 2.0 == pytest.approx(added)


def test_a_special_token_breaks_a_phrase_off_or_is_part_of_it():
    end = TOKENIZER.special_tokens["<|endoftext|>"]
    tokens = [*TOKENIZER.encode("th"), end, *TOKENIZER.encode("e")]

    assert 0.0 == pytest.approx(total(PhraseBias(phrase_bias={"the": 3.0}), tokens, [5]))
    special = PhraseBias(phrase_bias={"th<|endoftext|>e": 3.0})
    assert 3.0 == pytest.approx(total(special, tokens, [5]))


def test_a_phrase_is_written_where_its_bias_is_large():
    generator = Generator(TableModel(28, scale=1.0), LETTERS, decoder=LETTERS)

    result = generator.generate(
        ["x", "yq"],
        phrase_bias={"quiz": 200.0},
        num_return_sequences=2,
        max_new_tokens=4,
        strategy="beam",
        num_beams=3,
    )
    assert ["quiz", "uizq"] == [result.texts[0], result.texts[2]]


@pytest.mark.parametrize("given", [{"": 1.0}, {"a": float("inf")}, {5: 1.0}, ["a"]], ids=str)
def test_what_is_no_phrase_or_no_bias_is_refused(given):
    with pytest.raises(OptionError, match="phrase_bias"):
        PhraseBias(phrase_bias=given)


def test_tokens_of_other_vocabularies_are_what_they_add():
    class Words(Letters):
        """Words with a blank before them, but at a text's beginning."""

        def decode(self, tokens):
            return " ".join(["on", "the", "\ufffd"][token] for token in tokens if token < 3)

    spelling = Spelling(Words())

    assert [b" on", b" the", (256,), b""] == [spelling[token] for token in range(4)]


def test_an_exit_word_in_new_text_ends_all_biases():
    bias = ExpiringBias(expiring_bias=[("a", 2.0, 9), ("b", 1.0, 2)], expiring_bias_exit_words="cd")
    histories = [[2, 3], [0], [0, 2, 3], [0, 2, 3, 1], [0, 2, 1]]
    rows = make_rows(histories, prompt_lengths=[2, 1, 1, 1, 1])

    found = process(bias, [[0.0] * 4] * 5, rows)[:, :2].tolist()

    assert [[2.0, 1.0], [2.0, 1.0], [0.0, 0.0], [0.0, 0.0], [2.0, 0.0]] == found


def test_a_phrase_that_has_begun_in_time_is_led_to_its_end():
    bias = ExpiringBias(expiring_bias=[("abab", 4.0, 1)])
    rows = make_rows([[2, 0], [2, 0, 1, 0], [2, 0, 2, 0], [2, 0, 1, 0, 1]])

    found = process(bias, [[0.0] * 3] * 4, rows).tolist()

    assert [
        [-1.0, 1.0, -1.0],
        [-3.0, 1.0, -3.0],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],  # its end is the beginning of another one, which does not count any more
    ] == found


@pytest.mark.parametrize("given", [("a", 1.0, 0), ("a", 1.0), ("", 1.0, 1)], ids=str)
def test_an_expiring_bias_has_a_phrase_a_bias_and_a_duration(given):
    with pytest.raises(OptionError, match="expiring_bias"):
        ExpiringBias(expiring_bias=[given])
