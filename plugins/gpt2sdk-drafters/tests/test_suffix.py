"""What suffix decoding proposes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, make_rows
from gpt2sdk_drafters.suffix import Suffix, SuffixRun
from gpt2sdk_drafters.written_text import WrittenText

TEXT = st.lists(st.integers(0, 2), max_size=30)


def proposed(history, count, **options):
    return SuffixRun(Suffix(**options)).propose(make_rows([history]), count).tolist()[0]


def test_the_most_frequent_continuation_of_the_longest_run_counts():
    assert [7, -1] == proposed([5, 7, 5, 7, 5, 8, 5], 2)
    assert [8, 5] == proposed([4, 5, 7, 5, 7, 6, 5, 8, 5, 7, 6, 5], 2)


def test_of_equally_frequent_ones_the_latest_counts():
    assert [8] == proposed([5, 7, 5, 8, 5], 1)


def test_a_proposal_grows_with_what_was_found():
    history = [1, 2, 3, 4, 5, 6, 0, 1, 2]

    assert [3, 4, -1, -1] == proposed(history, 4)
    assert [3, 4, 5, 6] == proposed(history, 4, suffix_decoding_max_spec_factor=2.0)
    assert [-1] * 4 == proposed(history, 4, suffix_decoding_max_spec_factor=0.4)


def test_a_loop_is_continued_beyond_what_was_written():
    assert [1, 2, 3, 1, 2, 3] == proposed([1, 2, 3] * 3, 6)


def test_a_path_ends_where_too_few_occurrences_go_on_so():
    history = [1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3, 6, 1, 2, 3]

    assert [6, 1, 2] == proposed(history, 3)
    assert [-1] * 3 == proposed(history, 3, suffix_decoding_min_token_prob=0.5)


def test_runs_are_as_long_as_is_asked_for():
    history = [4, 1, 2, 3, 7, 5, 1, 2, 3, 8, 4, 1, 2, 3]

    assert [7] == proposed(history, 1)
    assert [8] == proposed(history, 1, suffix_decoding_max_tree_depth=3)


@pytest.mark.parametrize("cached", [0, 1, 2])
def test_finished_texts_are_looked_at_the_latest_ones(cached):
    run = SuffixRun(Suffix(suffix_decoding_max_cached_requests=cached))
    for history in ([1, 2, 3], [4, 5, 6]):
        run.propose(make_rows([history]), 1)
    asked = [run.propose(make_rows([each]), 1).tolist()[0][0] for each in ([9, 1, 2], [9, 4, 5])]

    # When the second is asked, the first one's text is finished, too.
    assert {0: [-1, -1], 1: [-1, -1], 2: [3, 6]}[cached] == asked


def test_rows_at_work_are_strangers():
    run = SuffixRun(Suffix())

    assert [[-1], [-1]] == run.propose(make_rows([[1, 2, 3], [1, 2]]), 1).tolist()


@given(st.lists(TEXT, max_size=5), TEXT)
def test_a_text_that_was_cut_back_is_as_if_it_never_had_more(detours, last):
    text = WrittenText()
    for each in [*detours, last]:
        text.agree(each)

    assert vars(WrittenText(last)) == vars(text)


@given(TEXT)
def test_every_place_of_the_last_token_is_found(tokens):
    text = WrittenText(tokens)
    found = set(text.places(tokens, 1))

    if tokens:
        wanted = {at + 1 for at, each in enumerate(tokens[:-1]) if each == tokens[-1]}
        assert wanted == found


def test_samples_of_one_prompt_learn_from_those_that_are_over():
    letters = Letters("abcdefgh")
    model = TableModel(8, order=1, scale=4.0)
    gen = Generator(model, letters, decoder=letters)
    options = {"num_return_sequences": 12, "max_new_tokens": 40, "batch_size": 2, "seed": 1}
    plain = gen.generate("abab", **options)
    alone = gen.generate("abab", drafter="suffix", suffix_decoding_max_cached_requests=0, **options)
    shared = gen.generate("abab", drafter="suffix", **options)

    assert plain.texts == alone.texts == shared.texts
    assert shared.usage.accepted > alone.usage.accepted > 0


@pytest.mark.parametrize(
    "option",
    [
        {"suffix_decoding_max_tree_depth": 0},
        {"suffix_decoding_max_cached_requests": -1},
        {"suffix_decoding_max_spec_factor": 0.0},
        {"suffix_decoding_min_token_prob": 1.5},
    ],
)
def test_options_have_ranges(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        Suffix(**option)
