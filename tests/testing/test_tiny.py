"""The tiny model is the same everywhere, and its folder is one that loads."""

import pytest
import torch

from gpt2sdk import Generator, TokenizerError
from gpt2sdk.testing import Letters, save_tiny_model, tiny_gpt2, tiny_tokenizer


def test_a_seed_makes_the_same_model_again():
    tokens = torch.tensor([[1, 2, 3]])

    assert torch.equal(tiny_gpt2()(tokens).logits, tiny_gpt2()(tokens).logits)
    assert not torch.equal(tiny_gpt2()(tokens).logits, tiny_gpt2(seed=1)(tokens).logits)


@pytest.mark.parametrize("text", ["Once upon a time", "naïve 🦆\n\t ", "<|endoftext|>"])
def test_any_text_can_be_encoded(text):
    tokenizer = tiny_tokenizer()

    tokens = tokenizer.encode(text)

    assert text == tokenizer.decode(tokens)
    assert max(tokens) < tokenizer.eos_token_id == tiny_gpt2().vocab_size - 1


def test_the_folder_is_loaded_and_generates(tmp_path):
    save_tiny_model(tmp_path / "tiny")

    generator = Generator.from_pretrained(tmp_path / "tiny")
    result = generator.generate("Once", max_new_tokens=5, seed=3)

    assert 5 == len(result.completions[0].tokens)
    assert result.text == generator.generate("Once", max_new_tokens=5, seed=3).text


def test_letters_know_their_alphabet_only():
    with pytest.raises(TokenizerError, match="got 'É'"):
        Letters().encode("É")
