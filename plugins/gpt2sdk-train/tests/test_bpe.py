"""Tokenizers are trained, and encode any text."""

import pytest

from gpt2sdk import OptionError
from gpt2sdk_train import train_tokenizer


def test_any_text_survives_encoding(tokenizer):
    text = "the cat  sat.\n\n\tZoë says “naïve” 🙂 <|endoftext|>"

    assert text == tokenizer.decode(tokenizer.encode(text))


def test_the_end_token_is_token_0_and_never_comes_from_text(tokenizer):
    assert 0 == tokenizer.eos_token_id == tokenizer.bos_token_id
    assert 0 not in tokenizer.encode("<|endoftext|>")


def test_common_words_become_tokens(tokenizer):
    assert 290 == tokenizer.vocab_size
    assert 1 == len(tokenizer.encode(" the"))


def test_it_is_the_same_after_saving(tokenizer, tmp_path):
    tokenizer.save(tmp_path)

    again = type(tokenizer).from_folder(tmp_path)
    assert tokenizer.encode("the old mat") == again.encode("the old mat")
    assert tokenizer.eos_token_id == again.eos_token_id


def test_the_bytes_need_their_room():
    with pytest.raises(OptionError, match="vocab_size=256: expected 257 or more"):
        train_tokenizer(["text"], vocab_size=256)
