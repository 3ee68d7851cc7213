"""Texts go from one tokenizer to another and back."""

from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.testing import Letters, tiny_tokenizer
from gpt2sdk_drafters.translation import Translation, alike

WORDS = tiny_tokenizer()
LETTERS = Letters()
TEXT = st.lists(st.sampled_from(["Once", " the", " time", "on", " a", " and", "x", "é"]))


@given(TEXT, st.text("abc the", max_size=12))
def test_what_is_drafted_comes_back_behind_the_text(parts, drafted):
    between = Translation(WORDS, WORDS)
    tokens = WORDS.encode("".join(parts))
    theirs = between.there(tokens)
    back = between.back(tokens, theirs, WORDS.encode(drafted))

    assert "".join(parts) + drafted == WORDS.decode([*tokens, *back])


def test_a_text_that_ends_within_a_character_is_not_continued():
    assert [] == Translation(WORDS, WORDS).there(WORDS.encode("aé")[:-1])


def test_characters_that_the_other_lacks_are_not_translated():
    assert [] == Translation(WORDS, LETTERS).there(WORDS.encode("Once"))


def test_special_tokens_stay_what_they_are():
    end = WORDS.special_tokens["<|endoftext|>"]

    assert [end] == Translation(WORDS, WORDS).there([end])
    assert [end] == Translation(WORDS, WORDS).back([5], [5], [end])


def test_of_a_long_text_the_end_is_translated_and_moves_seldom():
    between = Translation(LETTERS, LETTERS)
    text = [place % 27 for place in range(1000)]
    starts = [length - len(between.there(text[:length])) for length in range(1, 1000)]

    assert [0, 256, 512] == sorted(set(starts))
    assert 256 <= min(len(between.there(text[:length])) for length in range(256, 1000))


def test_vocabularies_are_told_apart():
    assert alike(WORDS, WORDS)
    assert alike(WORDS, tiny_tokenizer())
    assert not alike(WORDS, LETTERS)
    assert not alike(LETTERS, Letters("abc"))
