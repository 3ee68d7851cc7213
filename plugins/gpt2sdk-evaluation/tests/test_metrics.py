"""Metrics have the values that can be counted by hand, and BLEU is sacrebleu's."""

import math
import random

import pytest
import sacrebleu
from sacrebleu.metrics.bleu import BLEU

from gpt2sdk import OptionError
from gpt2sdk_evaluation import bleu, distinct_n, measure, repetition, self_bleu, token_repetition

# The example of sacrebleu's own documentation.
TEXTS = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
FIRST = ["The dog bit the man.", "It was not unexpected.", "The man bit him first."]
SECOND = ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."]


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [
        (["the cat saw the dog"], 1, 4 / 5),
        (["the cat saw the cat"], 2, 3 / 4),
        (["a b", "a b", "a c"], 2, 2 / 3),
        ([[1, 2, 1, 2]], 2, 2 / 3),
        (["a b c", "a"], 3, 1.0),
    ],
)
def test_distinct_n_is_the_share_of_different_ngrams(texts, n, expected):
    assert expected == distinct_n(texts, n)


def test_ngrams_do_not_reach_from_text_to_text():
    assert 1.0 == distinct_n(["a b", "b a"], 2)
    assert math.isnan(distinct_n(["a", "b"], 2))


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [
        (["a b c d e f"], 4, 0.0),
        # Five runs of four, of which "a a a a" is four times a repetition.
        (["a a a a a a a a"], 4, 4 / 5),
        (["a a a", "a b c", "a"], 2, (1 / 2 + 0) / 2),
        ([[7, 7, 7]], 1, 2 / 3),
    ],
)
def test_repetition_is_the_mean_share_of_repeated_ngrams(texts, n, expected):
    assert expected == pytest.approx(repetition(texts, n))


def test_token_repetition_looks_back_so_far():
    assert 3 / 6 == token_repetition(["a b c b a a"], 4)
    assert 2 / 6 == token_repetition(["a b c b a a"], 2)
    assert 1 / 6 == token_repetition(["a b c d e a"], 5)
    assert 0 == token_repetition(["a b c d e a"], 4)
    assert 0 == token_repetition(["a", "a"])


def test_bleu_is_sacrebleus():
    theirs = sacrebleu.corpus_bleu(TEXTS, [FIRST, SECOND])
    ours = bleu(TEXTS, list(zip(FIRST, SECOND, strict=True)))

    assert (theirs.score, theirs.bp) == (ours.score, ours.brevity_penalty)
    assert theirs.precisions == list(ours.precisions)
    assert 48.53 == round(ours.score, 2)
    assert ours.signature.startswith("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_texts_may_have_different_numbers_of_references():
    ours = bleu(TEXTS, [FIRST[0], [FIRST[1], SECOND[1]], FIRST[2]])

    assert sacrebleu.corpus_bleu(TEXTS, [FIRST, [None, SECOND[1], None]]).score == ours.score


def test_bleu_of_short_texts_is_lowered():
    ours = bleu(["a b c d"], ["a b c d e f"])

    assert ours.brevity_penalty == pytest.approx(math.exp(1 - 6 / 4))
    assert ours.score == pytest.approx(100 * math.exp(-1 / 2))


@pytest.mark.parametrize("max_order", [1, 2, 4])
def test_self_bleu_is_sacrebleus_of_each_against_the_others(max_order):
    draw = random.Random(1)  # noqa: S311 - texts, not secrets
    letters = [" ".join(draw.choices("abcde", k=draw.randrange(1, 15))) for _ in range(25)]
    texts = [*letters, *TEXTS, *FIRST, "", TEXTS[0], "A &amp; B, 1.5"]
    metric = BLEU(max_ngram_order=max_order, effective_order=True)
    theirs = [
        metric.sentence_score(text, texts[:place] + texts[place + 1 :]).score
        for place, text in enumerate(texts)
    ]

    assert sum(theirs) / len(theirs) == pytest.approx(self_bleu(texts, max_order))


def test_texts_with_nothing_in_common_have_no_self_bleu():
    assert 0.0 == self_bleu(["a b", "c d", "e f"])


def test_all_metrics_together():
    found = measure(["a b a b", "a b c d"], ["a b a b", "a b c d"])

    assert (found.texts, found.words) == (2, 4.0)
    assert (found.distinct_1, found.distinct_2, found.distinct_3) == (4 / 8, 4 / 6, 4 / 4)
    assert (found.repetition_4, found.token_repetition_128) == (0.0, 2 / 8)
    assert found.self_bleu == self_bleu(["a b a b", "a b c d"])
    assert found.bleu.score == pytest.approx(100)
    alone = measure(["a"])
    assert (alone.self_bleu, alone.bleu) == (None, None)
    assert math.isnan(alone.distinct_2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distinct_n(["a"], 0), "n is a number of words, 1 or more; got 0"),
        (lambda: repetition(["a"], -1), "n is a number of words, 1 or more; got -1"),
        (lambda: token_repetition(["a"], 0), "length is a number of words, 1 or more; got 0"),
        (lambda: self_bleu(["a"]), "expected two texts or more, got 1"),
        (lambda: self_bleu(["a", "b"], 0), "max_order is a number of words, 1 or more; got 0"),
        (lambda: bleu(["a", "b"], ["a"]), "got 2 texts and 1 references"),
        (lambda: bleu([], []), "got 0 texts and 0 references"),
        (lambda: bleu(["a"], [[]]), "got 1 texts and 0 references"),
        (lambda: measure([]), "expected one text or more, got none"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(OptionError) as caught:
        call()
    assert message in str(caught.value)
