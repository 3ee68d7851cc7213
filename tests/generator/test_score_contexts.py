"""Scores behind contexts: equal to those of whole texts, and what is alike is read once."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk import Generator, OptionError
from gpt2sdk.generator import judging
from gpt2sdk.generator.prefixes import segments
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer

SHOTS = "the cat sat on the mat and the rat ran in and on and on. " * 3


@pytest.fixture(scope="module")
def gen():
    return Generator(tiny_gpt2(), tiny_tokenizer())


def letters(**model):
    language = Letters()
    return Generator(TableModel(**model), language, decoder=language, eos_token_ids=[])


def test_a_text_behind_a_context_is_the_end_of_the_whole(gen):
    whole = gen.score("Once upon a time")
    score = gen.score(" a time", context="Once upon")

    assert score.texts == (" a", " time")
    assert score.logprobs == pytest.approx(whole.logprobs[2:], abs=1e-6)
    assert score.context == (277, *gen.tokenizer.encode("Once upon"))
    assert score.nbytes == 7
    assert gen.score(" a time", context="Once upon", bos=False).context == score.context[1:]


def test_a_token_that_reaches_over_the_cut_is_scored(gen):
    whole = gen.score("Once upon a time", bos=False)
    score = gen.score("ce upon a time", context="On", bos=False)

    assert (score.tokens, score.logprobs) == (whole.tokens, whole.logprobs)
    assert gen.score("ce upon", context="On").texts == ("Once", " upon")
    assert gen.score("ce upon", context="On").nbytes == len("Once upon")


def test_contexts_are_one_for_all_or_one_for_each(gen):
    one = gen.score([" a", " the"], context="Once upon")
    each = gen.score([" a", " the"], context=["Once upon", "in"])
    ids = gen.tokenizer.encode("Once upon")

    assert one == gen.score([" a", " the"], context=ids)
    assert one[0].logprobs == pytest.approx(each[0].logprobs, abs=1e-6)
    assert one[1].logprobs != each[1].logprobs
    assert gen.score(" a", context="") == gen.score(" a")
    assert gen.score(torch.tensor([5]), context=torch.tensor([6])).context == (277, 6)


def test_the_likeliest_tokens_are_told(gen):
    (made,) = gen.generate("Once upon", strategy="greedy", max_new_tokens=5).completions
    options = {"context": gen.tokenizer.encode("Once upon"), "bos": False}

    score = gen.score(made.tokens, **options)
    assert (score.greedy, score.likeliest) == (True, (True,) * 5)
    other = (*made.tokens[:2], (made.tokens[2] + 1) % 256)
    assert gen.score(other, **options).likeliest == (True, True, False)
    assert not gen.score(other, **options).greedy


def test_what_contexts_have_in_common_is_fed_once():
    gen = letters(order=3)
    shots = "abcdefghijklmnopqrstuvwxyz"
    contexts = [shots + name * 20 for name in "xyz"]
    texts = [end for _ in contexts for end in ("ab", "ac", "d")]
    gen.score(texts, context=[one for one in contexts for _ in range(3)], bos=False)

    # The shots once, each context's own 20 once, and behind them "a" of "ab" and "ac".
    assert gen.model.tokens_fed == 26 + 3 * (20 + 1)


def test_options_of_one_token_need_no_token_more_than_their_context():
    gen = letters()
    gen.score(["a", "b", "c"], context="hello", bos=False)

    assert (gen.model.calls, gen.model.tokens_fed) == (1, 5)


def test_a_prefix_is_kept_from_batch_to_batch(monkeypatch):
    gen = letters(order=3)
    shots = "abcdefghijklmnopqrstuvwxyz"
    texts = [first + second + "a" for first in "abcde" for second in "vwxyz"]
    expected = gen.score(texts, context=shots, bos=False)
    monkeypatch.setattr(judging, "_PLACES", 90)
    gen.model.calls = gen.model.tokens_fed = 0
    found = gen.score(texts, context=shots, bos=False)

    assert found == expected
    assert gen.model.calls > 8
    # Three rows a batch. The first reads all; the others read the last token of the context again,
    # since its prediction counts.
    assert gen.model.tokens_fed == 27 + 3 + 22 * 3


WORDS = st.lists(st.integers(0, 2), min_size=1, max_size=24)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12),
    st.sampled_from([(6, 2), (9, 9), (24, 5), (256, 128)]),
    st.sampled_from([1, 3, 100]),
    st.sampled_from([20, 60, 8192]),
)
def test_together_is_alone(pairs, windows, positions, places):
    gen = letters(order=4)
    size, stride = windows
    options = {"window": size, "stride": stride, "bos": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "_LOGITS_BYTES", 4 * 28 * positions)
        patch.setattr(judging, "_PLACES", places)
        patch.setattr(judging, "LEAST", 2)
        found = gen.score([text for _, text in pairs], context=[one for one, _ in pairs], **options)
    for (context, text), score in zip(pairs, found, strict=True):
        alone = gen.score(text, context=context, **options)
        assert alone == score
        if len(context) + len(text) <= size:
            whole = gen.score([*context, *text], **options)
            assert score.logprobs == whole.logprobs[-len(text) :]


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=12), min_size=1, max_size=12),
    st.integers(0, 6),
)
def test_segments_are_the_sequences(sequences, least):
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    plan = list(segments(sequences, order, 0, least))

    for number, sequence in enumerate(sequences):
        mine = [each for each in plan if number in each.members]
        assert sequence == [t for each in mine for t in sequence[each.start : each.stop]]
        assert [None, *mine[:-1]] == [each.parent for each in mine]
        for each in mine:
            assert {tuple(sequences[other][: each.stop]) for other in each.members} == {
                tuple(sequence[: each.stop])
            }


def test_the_end_of_a_long_context_is_read(gen):
    tokens = gen.tokenizer.encode(SHOTS * 8)
    score = gen.score([5, 6, 7], context=tokens, bos=False, stride=256)
    seen = [*tokens, 5, 6, 7][-257:]
    logits = gen.model(torch.tensor([seen[:-1]])).logits[0, -3:].double().log_softmax(-1)

    assert len(tokens) > 256
    assert score.logprobs == pytest.approx(logits[range(3), [5, 6, 7]].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        (["a", "b"], ["c"], "there are 1 contexts for 2 texts: give one for all, or one for each"),
        ("a", ["c", "d"], "there are 2 contexts for 1 texts"),
        (
            "a",
            torch.tensor(5),
            "context is tensor(5), expected a text, token ids, or a list of such",
        ),
        ("a", [300], "the context of text 0 has token id 300, expected 0 to 277"),
        (["a", ""], "c", "text 1 is empty"),
        ("a", [[]], "text 0 is one token with nothing before it: expected two or more, a context"),
    ],
)
def test_what_is_wrong_is_said(gen, text, context, message):
    with pytest.raises(OptionError) as caught:
        gen.score(text, context=context, bos=False)
    assert message in str(caught.value)


def test_impossible_tokens_are_never_the_likeliest():
    score = letters(bias={2: -math.inf}).score("c", context="ab", bos=False)

    assert (score.logprobs, score.greedy) == ((-math.inf,), False)
