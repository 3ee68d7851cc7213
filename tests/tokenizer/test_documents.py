"""Documents in texts: cut apart, and put into tokens with what begins and ends them."""

import json

import pytest

from gpt2sdk.testing.tiny import tiny_tokenizer
from gpt2sdk.tokenizer.document_encoder import DocumentEncoder
from gpt2sdk.tokenizer.documents import split_documents
from gpt2sdk.tokenizer.end_tokens import EndTokens
from gpt2sdk.tokenizer.tokenizer import Tokenizer

END, STOP = 277, 278


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One.", ["One."]),
        ("\nOne.\n  <|endoftext|> \r\nTwo.\n", ["One.", "Two."]),
        ("One. <|endoftext|> Two.", ["One. ", " Two."]),
        ("<|endoftext|><|endoftext|>\n \n<|endoftext|>One.", ["One."]),
        ("One.\fTwo.\u2028<|endoftext|>", ["One.\fTwo.\u2028"]),
        ("", []),
    ],
)
def test_separators_end_documents_wherever_they_stand(text, expected):
    assert expected == list(split_documents(text))


@pytest.fixture
def tokenizer(tmp_path):
    """Return a tokenizer with two more special tokens."""
    tiny_tokenizer().save(tmp_path)
    settings = {"eos_token": "<|endoftext|>", "additional_special_tokens": ["<stop>", "<begin>"]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return Tokenizer.from_folder(tmp_path)


def encoded(tokenizer, ends, document):
    return list(DocumentEncoder(tokenizer, EndTokens(ends)).encode(document))


def test_end_tokens_in_a_document_are_obeyed_and_others_are_text(tokenizer):
    the, begin = tokenizer.encode("the"), tokenizer.encode("<begin>")

    assert [("the", [*the, STOP]), ("<begin>", [*begin, END])] == (
        encoded(tokenizer, (END, STOP), "the<stop><begin>")
    )
    assert [("the", [*the, END])] == encoded(tokenizer, (END,), "the<|endoftext|>")
    assert [("the", the)] == encoded(tokenizer, (), "the")
    assert [] == encoded(tokenizer, (END,), "<|endoftext|>")


def test_a_word_that_ends_texts_is_a_word_in_one(tokenizer):
    the = tokenizer.encode(" the")

    assert [("on the on", [*tokenizer.encode("on the on"), *the])] == (
        encoded(tokenizer, tuple(the), "on the on")
    )


@pytest.mark.parametrize(("bos", "opening"), [("<begin>", [STOP]), ("<|endoftext|>", [])])
def test_documents_begin_with_the_bos_token_unless_it_ends_them_too(tmp_path, bos, opening):
    tiny_tokenizer().save(tmp_path)
    settings = {"eos_token": "<|endoftext|>", "bos_token": bos, "add_bos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = Tokenizer.from_folder(tmp_path)
    the = tokenizer.encode("the")

    assert [("the", [*opening, *the, END])] * 2 == (
        encoded(tokenizer, (END,), "the<|endoftext|>the")
    )
