"""Added tokens stand for their text in what is generated, streamed, stopped at and scored."""

import pytest
import torch
from tokenizers import AddedToken

from gpt2sdk import Generator, Tokenizer
from gpt2sdk.testing import TableModel, tiny_tokenizer


@pytest.fixture(scope="module")
def generator():
    library = tiny_tokenizer()._files.library  # noqa: SLF001 - no other way to enlarge it
    library.add_tokens([AddedToken(text) for text in ("café", "čaj")])
    tokenizer = Tokenizer.from_texts({"tokenizer.json": library.to_str()})
    return Generator(TableModel(tokenizer.vocab_size), tokenizer, eos_token_ids=[])


def saying(tokens):
    def forced(logits, rows):
        places = (rows.lengths - rows.prompt_lengths).clamp(max=len(tokens) - 1)
        chosen = torch.tensor(tokens)[places]
        return torch.full_like(logits, -1e9).scatter(1, chosen[:, None], 0.0)

    return forced


def test_added_tokens_are_written_as_their_text(generator):
    tokens = generator.tokenizer.encode("the café and čaj")
    options = {"processors": [saying(tokens)], "max_new_tokens": len(tokens)}

    pieces = [delta.text for delta in generator.stream("a", **options)]
    assert {278, 279} <= set(tokens)
    assert "the café and čaj" == "".join(pieces) == generator.generate("a", **options).text
    assert "the ca" == generator.generate("a", stop=["fé"], **options).text


def test_added_tokens_are_scored_as_their_text(generator):
    score = generator.score("a café")

    assert ("café", len("a café".encode())) == (score.texts[-1], score.nbytes)
    assert score.texts == generator.score(generator.tokenizer.encode("a café")).texts
