"""What prompt lookup proposes."""

import pytest

from gpt2sdk import OptionError
from gpt2sdk.testing import make_rows
from gpt2sdk_drafters.prompt_lookup import PromptLookup


def proposed(history, count, **options):
    return PromptLookup(**options).propose(make_rows([history]), count).tolist()[0]


def test_what_followed_the_last_tokens_before_is_proposed():
    assert [7, 8, 9] == proposed([5, 6, 7, 8, 9, 5, 6], 3)


def test_the_longest_match_counts_not_the_latest():
    assert [1] == proposed([5, 6, 1, 6, 2, 5, 6], 1)


def test_of_equal_matches_the_latest_counts():
    assert [2] == proposed([5, 6, 1, 5, 6, 2, 5, 6], 1)


def test_a_loop_is_continued_beyond_what_was_written():
    assert [1, 2, 3, 1, 2, 3, 1] == proposed([1, 2, 3, 1, 2, 3], 7)
    assert [4, 4, 4] == proposed([4, 4], 3)


@pytest.mark.parametrize("history", [[1], [1, 2], [1, 2, 3]])
def test_nothing_is_proposed_where_nothing_repeats(history):
    assert [-1, -1] == proposed(history, 2)


def test_matches_are_as_long_as_is_asked_for():
    history = [1, 2, 3, 4, 9, 2, 3, 5, 9, 3, 6, 1, 2, 3]

    assert [4] == proposed(history, 1, max_matching_ngram_size=3)
    assert [5] == proposed([*history[:-3], 2, 3], 1, max_matching_ngram_size=2)
    assert [6] == proposed(history, 1, max_matching_ngram_size=1)
    assert [-1] == proposed(history, 1, max_matching_ngram_size=9, min_matching_ngram_size=4)


def test_ids_that_are_no_characters_match_too():
    surrogate = 0xD800
    assert [7] == proposed([surrogate, 0, 7, surrogate, 0], 1)


def test_rows_of_different_lengths_stand_side_by_side():
    rows = make_rows([[1, 2, 1], [3], [4, 4, 4, 4, 4]])

    assert [[2, 1], [-1, -1], [4, 4]] == PromptLookup().propose(rows, 2).tolist()


@pytest.mark.parametrize("option", ["max_matching_ngram_size", "min_matching_ngram_size"])
def test_sizes_are_whole_numbers_from_one(option):
    with pytest.raises(OptionError, match=option):
        PromptLookup(**{option: 0})


def test_the_fewest_are_not_more_than_the_most():
    with pytest.raises(OptionError, match="min_matching_ngram_size up to max_matching_ngram_size"):
        PromptLookup(min_matching_ngram_size=4)
