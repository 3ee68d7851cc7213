"""Runs of tokens are found where they stand, and what most often follows them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk_drafters.suffix_array import SuffixArray

SEPARATOR = 4
TEXT = st.lists(st.integers(0, SEPARATOR), min_size=1, max_size=60)


@given(TEXT, st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 6))
def test_the_longest_run_is_found_with_all_its_places(text, history, most):
    def places(run):
        return [at for at in range(len(text)) if text[at : at + len(run)] == run]

    sizes = [size for size in range(1, min(most, len(history)) + 1) if places(history[-size:])]
    index = SuffixArray(text, SEPARATOR)
    first, last, size = index.longest(history, most)

    assert max(sizes, default=0) == size
    if size:
        assert len(places(history[-size:])) == last - first


@given(TEXT, st.integers(0, 3))
def test_the_most_frequent_next_token_is_followed(text, token):
    index = SuffixArray(text, SEPARATOR)
    first, last, size = index.longest([token], 1)
    nexts = [b for a, b in pairwise(text) if a == token and b != SEPARATOR]
    found = index.follow(first, last, size, 1, 0.0) if size else []

    assert bool(nexts) == bool(found)
    if found:
        assert nexts.count(found[0]) == max(map(nexts.count, nexts))


def test_nothing_is_followed_beyond_a_separator_or_the_end():
    index = SuffixArray([1, 2, SEPARATOR, 3, 1], SEPARATOR)

    assert [2] == index.follow(*index.longest([1], 3), 5, 0.0)
    assert [] == index.follow(*index.longest([2], 3), 5, 0.0)


def test_a_path_ends_where_too_few_go_on_so():
    index = SuffixArray([1, 2, 3, 1, 2, 0, 1, 2, 3, 1, 3], SEPARATOR)
    found = index.longest([1], 1)

    assert [2, 3] == index.follow(*found, 2, 0.5)
    assert [2] == index.follow(*found, 2, 0.6)
    assert [] == index.follow(*found, 2, 0.8)


def test_many_places_are_sampled_and_narrowed_exactly():
    text = [1, 2] * 500 + [1, 3] * 100
    index = SuffixArray(text, SEPARATOR)
    first, last, size = index.longest([1], 1)

    assert 600 == last - first
    assert [2, 1] == index.follow(first, last, size, 2, 0.8)
    assert [] == index.follow(first, last, size, 2, 0.85)


def test_it_takes_eight_bytes_a_token():
    assert 8 * 1000 == SuffixArray([1] * 1000, SEPARATOR).nbytes
