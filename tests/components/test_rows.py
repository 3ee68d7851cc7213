"""Rows as components see them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Prompt
from gpt2sdk.components.rows import Board, Rows
from gpt2sdk.testing import make_rows


def board(*histories):
    made = Board(eos_token_ids=[9])
    for place, history in enumerate(histories):
        made.admit(place, Prompt(place, tuple(history)), 0)
    return made


def shown(rows):
    tokens = rows.tokens
    return [row[:length].tolist() for row, length in zip(tokens, rows.lengths, strict=True)]


def test_tokens_are_right_padded_and_lengths_say_how_far_they_go():
    rows = make_rows([[5, 6, 7], [8]], prompt_lengths=[2, 1])

    assert shown(rows) == [[5, 6, 7], [8]]
    assert rows.lengths.tolist() == [3, 1]
    assert rows.prompt_lengths.tolist() == [2, 1]


def test_a_selection_shows_its_rows_in_its_order():
    rows = make_rows([[1], [2], [3]]).select([2, 0])

    assert shown(rows) == [[3], [1]]
    assert rows.prompt_index.tolist() == [2, 0]
    assert shown(rows.select([1])) == [[1]]


VERBS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.integers(-1, 8), min_size=6, max_size=6)),
        st.tuples(st.just("fork"), st.lists(st.integers(0, 5), min_size=1, max_size=6)),
        st.tuples(st.just("rewind"), st.lists(st.integers(0, 3), min_size=6, max_size=6)),
        st.tuples(st.just("look"), st.none()),
    ),
    max_size=20,
)


@given(VERBS)
def test_the_buffer_follows_every_verb(verbs):
    made, plain = board([1, 2], [3]), [[1, 2], [3]]
    fixed = [2, 1]
    for verb, numbers in verbs:
        count = len(plain)
        if verb == "append":
            made.append(numbers[:count])
            for row, token in zip(plain, numbers, strict=False):
                row.extend([token] if token >= 0 else [])
        elif verb == "fork":
            parents = [number % count for number in numbers]
            made.fork(parents)
            plain = [list(plain[parent]) for parent in parents]
            fixed = [fixed[parent] for parent in parents]
        elif verb == "rewind":
            backs = [
                min(n, len(row) - fix) for n, row, fix in zip(numbers, plain, fixed, strict=False)
            ]
            made.rewind(backs)
            plain = [row[: len(row) - back] for row, back in zip(plain, backs, strict=True)]
        else:
            assert shown(Rows(made)) == plain
    assert shown(Rows(made)) == plain


def test_copies_take_their_place_as_lane_and_go_on_from_the_largest_draw():
    made = board([1], [2])
    made.append([5, -1])
    made.append([5, 5])
    made.fork([0, 0, 1])

    assert [row.lane for row in made.rows] == [0, 1, 0]
    assert [row.draws for row in made.rows] == [2, 2, 1]


def test_rewinding_does_not_give_random_numbers_back():
    made = board([1])
    made.append([5])
    before = Rows(made).uniform("x").item()
    made.rewind([1])

    assert Rows(made).uniform("x").item() == before


def test_numbers_differ_by_purpose_and_are_the_same_alone():
    rows = make_rows([[1], [2]], purpose="a")

    assert rows.uniform()[1] == rows.select([1]).uniform()[0]
    assert not torch.equal(rows.uniform(), rows.bound("b").uniform())
    assert torch.equal(rows.uniform("b"), rows.bound("b").uniform())


def test_hidden_states_must_be_declared():
    with pytest.raises(LookupError, match="wants"):
        make_rows([[1]]).hidden_states(0)
