"""Prompts as text: special tokens and the bos token."""

from gpt2sdk import Tokenizer
from gpt2sdk.generator.prompts import encode_text
from gpt2sdk.testing import tiny_tokenizer


def adding_bos(folder):
    tiny_tokenizer().save(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(file.read_text().replace("{", '{"add_bos_token": true,', 1))
    return Tokenizer.from_folder(folder)


def test_a_bos_token_that_the_prompt_spells_out_is_not_doubled(tmp_path):
    tokenizer = adding_bos(tmp_path)
    bos, the = tokenizer.bos_token_id, tokenizer.encode("the")
    text = "<|endoftext|>the"

    assert [bos, *the] == encode_text(text, tokenizer, allow_special=True)
    assert [bos, *tokenizer.encode(text)] == encode_text(text, tokenizer)
    assert [bos, *the] == encode_text("the", tokenizer, allow_special=True)
