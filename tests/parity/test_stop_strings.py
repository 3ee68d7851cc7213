"""Stop strings end a row at the token where transformers' StopStringCriteria does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from gpt2sdk import Generator, Tokenizer
from gpt2sdk.testing import TableModel, tiny_tokenizer

transformers = pytest.importorskip("transformers")

END = "<|im_end|>"
WORDS = [" the", "in", "on", "a", "n", "an", " and", "\n", END]


@pytest.fixture(scope="module")
def twins():
    """One tokenizer in two hands."""
    library = tiny_tokenizer()._files.library  # noqa: SLF001 - no other way to enlarge it
    library.add_special_tokens([AddedToken(END, normalized=False)])
    ours = Tokenizer.from_texts({"tokenizer.json": library.to_str()})
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=library)
    return Generator(TableModel(ours.vocab_size), ours, eos_token_ids=[]), theirs


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map("".join)


@settings(max_examples=60, deadline=None)
@given(texts, texts, st.lists(texts.map(lambda text: text[-12:]), min_size=1, max_size=2))
def test_a_row_ends_with_the_same_token(twins, prompt, written, stops):
    generator, theirs = twins
    # Of a special token they match parts too.
    stops = [stop for stop in stops if END in stop or not set(stop) & set("<|_>")] or ["in"]
    before, tokens = (
        generator.tokenizer.encode(text, allow_special=True) for text in (prompt, written)
    )
    criterion = transformers.StopStringCriteria(theirs, stops)
    ends = [
        bool(criterion(torch.tensor([before + tokens[: count + 1]]), None))
        for count in range(len(tokens))
    ]

    def say(logits, rows):
        token = tokens[int(rows.lengths[0]) - len(before)]
        return torch.full_like(logits, -1e9).index_fill(1, torch.tensor([token]), 0.0)

    done = generator.generate(
        [before], processors=[say], max_new_tokens=len(tokens), stop=stops, stop_spans_prompt=True
    ).completions[0]

    assert len(done.tokens) == (ends.index(True) + 1 if True in ends else len(tokens))
    assert done.finish_reason == ("stop_string" if True in ends else "length")
