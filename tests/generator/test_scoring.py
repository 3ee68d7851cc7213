"""Scores: what a text costs, whatever it is read together with and in which windows."""

import dataclasses
import math

import pytest
import torch

from gpt2sdk import Generator, OptionError, Score
from gpt2sdk.errors import GenerationError
from gpt2sdk.generator import judging
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer

TEXT = "Once upon a time the cat sat on the mat and the rat ran in. " * 12


class BosLetters(Letters):
    """Letters of which the last one begins a text."""

    bos_token_id = 27


def letters(language=None, **model):
    language = language or Letters()
    return Generator(TableModel(**model), language, decoder=language, eos_token_ids=[])


@pytest.fixture(scope="module")
def gen():
    return Generator(tiny_gpt2(), tiny_tokenizer())


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary():
    score = letters(BosLetters(), scale=0.0).score("abcd")

    assert score.token_count == 4
    assert score.perplexity == pytest.approx(28)
    assert score.bits_per_byte == pytest.approx(math.log2(28))
    assert score.nats == pytest.approx(4 * math.log(28))


def test_tokens_are_scored_as_the_model_predicts_them(gen):
    score = gen.score("Once upon a time")
    tokens = [277, *gen.tokenizer.encode("Once upon a time")]
    logprobs = gen.model(torch.tensor([tokens])).logits[0, :-1].double().log_softmax(-1)

    expected = logprobs[torch.arange(len(tokens) - 1), tokens[1:]].tolist()
    assert score.logprobs == pytest.approx(expected, abs=1e-5)
    assert (score.tokens, score.context) == (tuple(tokens[1:]), (277,))
    assert score.texts == ("Once", " upon", " a", " time")
    assert score.nbytes == 16


def test_without_a_bos_token_the_first_token_is_context(gen):
    score = gen.score("Once upon", bos=False)
    with_bos = gen.score("Once upon")

    assert (score.texts, score.context) == ((" upon",), with_bos.tokens[:1])
    assert (score.nbytes, score.token_count) == (5, 1)
    assert score.logprobs != with_bos.logprobs[1:]
    assert letters().score("ab").context == (0,)


def test_a_text_that_begins_with_the_bos_token_gets_no_other(gen):
    tokens = gen.tokenizer.encode("Once upon")

    given = gen.score([277, *tokens])
    assert (given.context, given.tokens) == ((277,), tuple(tokens))
    assert given.logprobs == gen.score("Once upon").logprobs
    assert given == gen.score(tokens)


def test_what_the_completion_says_is_what_the_score_says(gen):
    options = {"max_new_tokens": 9, "seed": 1, "logprobs": 0, "eos_token_id": None}
    (completion,) = gen.generate([277], **options).completions

    assert gen.score(completion.tokens).logprobs == pytest.approx(completion.logprobs, abs=1e-5)


def test_rows_are_strangers(gen):
    texts = ["the cat", TEXT, "a", "Once upon a time", TEXT[:300], "on and on"]
    together = gen.score(texts)

    for text, score in zip(texts, together, strict=True):
        alone = gen.score(text)
        assert (score.tokens, score.nbytes) == (alone.tokens, alone.nbytes)
        assert score.logprobs == pytest.approx(alone.logprobs, abs=1e-5)


def windowed(gen, text, size, stride):
    """Predict every token from a window of its own, as the rule for windows says."""
    tokens = [277, *gen.tokenizer.encode(text)]
    found, done = [], 0
    while done < len(tokens) - 1:
        stop = min(done + (stride if done else size), len(tokens) - 1)
        for place in range(done + 1, stop + 1):
            seen = tokens[max(0, stop - size) : place]
            logits = gen.model(torch.tensor([seen])).logits[0, -1].double()
            found.append(logits.log_softmax(-1)[tokens[place]].item())
        done = stop
    return found


@pytest.mark.parametrize(("size", "stride"), [(16, 8), (16, 16), (7, 1), (2, 1), (256, None)])
def test_windows_give_each_token_its_context(gen, size, stride):
    text = TEXT[: 600 if stride is None else 150]
    score = gen.score(text, window=size, stride=stride)

    assert "".join(score.texts) == text
    expected = windowed(gen, text, size, stride or size // 2)
    assert score.logprobs == pytest.approx(expected, abs=1e-5)


def test_the_window_is_the_context_and_the_stride_half_of_it(gen):
    assert gen.score(TEXT).token_count > gen.model.context_length
    assert gen.score(TEXT) == gen.score(TEXT, window=256, stride=128)
    assert gen.score(TEXT).logprobs != gen.score(TEXT, stride=256).logprobs


@pytest.mark.parametrize("positions", [1, 7, 100])
def test_logits_are_made_a_few_at_a_time(gen, monkeypatch, positions):
    expected = gen.score([TEXT, "Once upon a time"], window=32)
    made = []
    chosen = judging._chosen  # noqa: SLF001 - where all logits go through

    def watched(logits, sums, lines, tokens):
        made.append(len(logits))
        return chosen(logits, sums, lines, tokens)

    monkeypatch.setattr(judging, "_chosen", watched)
    monkeypatch.setattr(judging, "_LOGITS_BYTES", 4 * 278 * positions)
    found = gen.score([TEXT, "Once upon a time"], window=32)

    assert max(made) <= positions
    assert sum(made) == sum(score.token_count for score in expected)
    for score, other in zip(found, expected, strict=True):
        assert score.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_short_texts_share_calls():
    gen = letters(BosLetters())
    scores = gen.score(["abc", "de", "f"] * 20)

    assert gen.model.calls == 1
    assert gen.model.tokens_fed == sum(score.token_count for score in scores[:3])


def test_a_large_vocabulary_is_scored_in_pieces():
    gen = letters(BosLetters(), vocab_size=50257, order=1)
    score = gen.score("ab" * 120)

    assert gen.model.calls == math.ceil(240 / 166)
    assert score.perplexity == pytest.approx(gen.score("ab" * 120, stride=1).perplexity)


def test_characters_of_several_tokens_stand_at_their_last_one(gen):
    score = gen.score("é!")

    assert score.texts == ("", "é", "!")
    assert (score.nbytes, score.token_count) == (3, 3)
    assert gen.score("é!", bos=False).nbytes == 3


def test_ids_without_text_have_no_bytes(gen):
    score = gen.score([277, 277])

    assert (score.texts, score.nbytes, score.bits_per_byte) == (("",), 0, math.inf)
    assert gen.score([65, 277, 66]).nbytes == 2


def test_tensors_are_lists(gen):
    assert gen.score(torch.tensor([5, 6])) == gen.score([5, 6])
    assert gen.score(torch.tensor([[5, 6], [7, 8]])) == gen.score([[5, 6], [7, 8]])


def test_an_impossible_token_has_infinite_perplexity():
    assert math.inf == letters(bias={2: -math.inf}).score("abc").perplexity
    assert math.inf == Score((1,), ("a",), (-1e6,), 1).perplexity


def test_logits_that_are_no_numbers_are_an_error():
    with pytest.raises(GenerationError, match="NaN"):
        letters(bias={2: math.nan}).score("abc")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "text 0 is empty: expected at least one token to score"),
        (["a", ""], {}, "text 1 is empty"),
        ([], {}, "there is no text: expected a text, token ids, or a list of such"),
        (["a", 5], {}, "text 1 is 5, expected a text or a list of token ids"),
        (torch.tensor(7), {}, "text is tensor(7), expected a text, token ids, or a list of such"),
        (["a", [True]], {}, "text 1 is [True], expected a text or a list of token ids"),
        (["a", [5, 278]], {}, "text 1 has token id 278, expected 0 to 277"),
        ([-1, 5], {}, "text 0 has token id -1, expected 0 to 277"),
        ("a", {"bos": False}, "text 0 is one token with nothing before it: expected two or more"),
        ([277], {}, "text 0 is one token with nothing before it"),
        ("ab", {"window": 1}, "window is 2 to 256 tokens, the model's context; got 1"),
        ("ab", {"window": 257}, "got 257"),
        ("ab", {"window": 8, "stride": 0}, "stride is 1 to 8 tokens, the window; got 0"),
        ("ab", {"window": 8, "stride": 9}, "got 9"),
    ],
)
def test_what_is_wrong_is_said(gen, text, options, message):
    with pytest.raises(OptionError) as caught:
        gen.score(text, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("top", [1, 3])
def test_the_likeliest_tokens_are_named_in_the_place_of_each(top, gen):
    texts = [TEXT, "Once upon", "Once upon a time"]
    scores = gen.score(texts, top=top, window=12, stride=5)

    assert gen.score(texts, window=12, stride=5) == [
        dataclasses.replace(each, top_logprobs=()) for each in scores
    ]
    for score in scores:
        assert len(score.tokens) == len(score.top_logprobs)
        columns = zip(
            score.tokens, score.logprobs, score.likeliest, score.top_logprobs, strict=True
        )
        for token, logprob, likeliest, tops in columns:
            assert top == len(tops)
            assert sorted(tops, key=lambda each: -each[1]) == list(tops)
            assert likeliest == (tops[0][0] == token)
            assert dict(tops).get(token, logprob) == logprob
            assert logprob <= tops[0][1]


@pytest.mark.parametrize("top", [-1, True])
def test_top_is_a_number_of_tokens(top, gen):
    with pytest.raises(OptionError, match="top is"):
        gen.score("Once upon", top=top)
