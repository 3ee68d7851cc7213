"""Documents become blocks in an order that only the seed decides."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import EndTokens, OptionError
from gpt2sdk_train import ValidationScore
from gpt2sdk_train.packing import BlockOrder, PackedTokens, windows


def ring(length):
    return PackedTokens(torch.arange(length, dtype=torch.int32), length)


def test_documents_are_joined_by_the_end_token(tokenizer):
    packed = PackedTokens.encode(["the cat", "", "a bird"], tokenizer)
    end = tokenizer.eos_token_id

    expected = [*tokenizer.encode("the cat"), end, *tokenizer.encode("a bird"), end]
    assert expected == packed.tokens.tolist()
    assert len("the cat") + len("a bird") == packed.nbytes


def test_end_tokens_within_a_document_are_no_words(tokenizer):
    packed = PackedTokens.encode(["the cat<|endoftext|>a bird"], tokenizer)

    expected = PackedTokens.encode(["the cat", "a bird"], tokenizer)
    assert expected.tokens.tolist() == packed.tokens.tolist()
    assert expected.nbytes == packed.nbytes


def test_the_first_of_the_models_end_tokens_closes_documents(tokenizer):
    packed = PackedTokens.encode(["the cat"], tokenizer, EndTokens((7, 0)))

    assert [*tokenizer.encode("the cat"), 7] == packed.tokens.tolist()


@pytest.mark.parametrize("texts", [[], [""], ["a"]])
def test_fewer_than_two_tokens_are_refused(tokenizer, texts):
    with pytest.raises(OptionError, match="expected text of at least 2 tokens, found"):
        PackedTokens.encode(texts, tokenizer)


@given(length=st.integers(2, 50), size=st.integers(1, 60), seed=st.integers(0, 5))
def test_each_epoch_predicts_every_token_once_but_for_a_remainder(length, size, seed):
    order = BlockOrder(ring(length), size=size, seed=seed)
    first = order.take(range(order.per_epoch))

    predicted = first[:, 1:].flatten().tolist()
    assert len(set(predicted)) == len(predicted) == order.per_epoch * order.size
    assert length - len(predicted) < order.size
    assert torch.equal(first[:, 1:], (first[:, :-1] + 1) % length)


def test_any_place_can_be_taken_by_itself():
    order = BlockOrder(ring(100), size=7, seed=3)
    whole = order.take(range(40))

    again = BlockOrder(ring(100), size=7, seed=3)
    assert torch.equal(whole[[39, 2, 20]], again.take([39, 2, 20]))


def test_epochs_and_seeds_have_orders_of_their_own():
    order = BlockOrder(ring(100), size=7, seed=3)
    other = BlockOrder(ring(100), size=7, seed=4)
    places = range(order.per_epoch)
    later = [place + order.per_epoch for place in places]

    assert not torch.equal(order.take(places), order.take(later))
    assert not torch.equal(order.take(places), other.take(places))


@given(length=st.integers(2, 60), size=st.integers(1, 20), data=st.data())
def test_windows_predict_every_token_once(length, size, data):
    stride = data.draw(st.integers(1, size))
    cut = list(windows(length, size, stride))

    predicted = [token + 1 for start, end, done in cut for token in range(done, end)]
    assert list(range(1, length)) == predicted
    assert all(end - start <= size and start <= done for start, end, done in cut)
    assert all(done - start >= size - stride for start, end, done in cut[1:] if end - start == size)


def test_the_digest_tells_texts_apart():
    assert ring(5).digest == ring(5).digest != ring(6).digest


def test_a_perplexity_that_no_float_holds_is_infinite():
    assert math.inf == ValidationScore(nats=1e6, tokens=3, nbytes=4).perplexity
    assert 4.0 == pytest.approx(
        ValidationScore(nats=2 * math.log(4), tokens=2, nbytes=4).perplexity
    )
