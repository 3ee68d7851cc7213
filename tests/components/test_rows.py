"""Rows as components see them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import PluginContractError, Prompt
from gpt2sdk.components.records import Row
from gpt2sdk.components.rows import Rows, RowStore
from gpt2sdk.race import halves, race
from gpt2sdk.rng import key, purpose_key
from gpt2sdk.testing import make_rows


def store(*histories):
    made = RowStore()
    for place, history in enumerate(histories):
        made.admit(place, Row(Prompt(place, tuple(history)), 0, list(history)))
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


def test_rows_are_grouped_by_prompt_in_the_order_they_stand_in():
    made = store([1], [2])
    made.fork([1, 0, 1])
    groups = Rows(made, purpose="mine").by_prompt()

    assert [(1, [0, 2]), (0, [1])] == [(prompt.index, [*rows.index]) for prompt, rows in groups]
    assert [0, 1] == groups[0][1].lane.tolist()
    alone = Rows(made).bound("mine").uniform()[1:2]
    assert alone.tolist() == groups[1][1].uniform().tolist()


def test_calls_that_ask_for_the_same_are_different_prompts():
    made = RowStore()
    for seat in range(2):
        made.admit(seat, Row(Prompt(0, (7,)), 0, [7]))

    assert [[0], [1]] == [[*rows.index] for _, rows in Rows(made).by_prompt()]


def test_finished_says_which_rows_have_a_reason():
    made = store([1], [2], [3])
    made.rows[1].finish_reason = "length"

    assert [False, True, False] == Rows(made).finished.tolist()
    assert [True] == Rows(made).select([1]).finished.tolist()
    assert torch.bool == Rows(RowStore()).finished.dtype


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
    made, plain = store([1, 2], [3]), [[1, 2], [3]]
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
    made = store([1], [2])
    made.append([5, -1])
    made.append([5, 5])
    made.fork([0, 0, 1])

    assert [row.lane for row in made.rows] == [0, 1, 0]
    assert [row.draws for row in made.rows] == [2, 2, 1]


def test_a_fork_among_the_rows_of_one_prompt_leaves_anothers_draws_alone():
    made = store([1], [2])
    made.fork([0, 0, 1, 1])
    made.append([5, -1, 6, -1])
    made.fork([0, 1, 3, 2])

    assert [(0, 1), (1, 0), (0, 1), (1, 1)] == [(row.lane, row.draws) for row in made.rows]


def test_rewinding_does_not_give_random_numbers_back():
    made = store([1])
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


LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]).log()


def test_a_race_is_keyed_with_seed_lane_draws_and_purpose():
    rows = make_rows([[5, 6], [1, 2, 3]], seed=7, purpose="a")
    expected = race(LOGITS, halves([key(7, 0, 1, purpose_key("a"))], rows.device).expand(2, -1))[0]

    assert expected == rows.race(LOGITS)[0]
    assert rows.race(LOGITS[1:].expand(2, -1))[1] == rows.select([1]).race(LOGITS[1:])[0]
    assert torch.equal(rows.exponentials([3, 4], "b"), rows.bound("b").exponentials([3, 4]))
    assert not torch.equal(rows.exponentials([3, 4]), rows.exponentials([3, 4], "b"))


def test_the_first_home_in_a_race_has_the_least_number_by_its_probability():
    rows = make_rows([[5, 6], [1, 2, 3]], seed=7)
    times = rows.exponentials(range(3), "x") / LOGITS.exp()

    assert times.argmin(-1).tolist() == rows.race(LOGITS, "x").tolist()


def test_rows_may_ask_for_the_numbers_of_tokens_of_their_own():
    rows = make_rows([[5], [6]], seed=7)
    alike = rows.exponentials([4, 9])
    own = rows.exponentials(torch.tensor([[9, 2], [4, 4]]))

    assert [alike[0, 1], alike[1, 0]] == [own[0, 0], own[1, 1]]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ([-math.inf] * 3, "all -inf"),
        ([0.0, math.nan, 0.0], "NaN or infinite"),
        ([0.0, math.inf, 0.0], "NaN or infinite"),
    ],
)
def test_a_row_with_no_token_to_draw_is_an_error_that_names_it(line, found):
    rows = make_rows([[5], [6]])

    with pytest.raises(PluginContractError, match=f"row 1 has no token to draw: .* {found}"):
        rows.race(torch.tensor([[0.0, 0.0, 0.0], line]))


def test_a_race_needs_a_line_of_logits_for_each_row():
    with pytest.raises(PluginContractError, match="logits of 2 rows, expected 1"):
        make_rows([[5]]).race(LOGITS)


def test_a_race_waits_for_no_device():
    on_meta = RowStore("meta")
    on_meta.admit(0, Row(Prompt(0, (5,), 0, 9), 0, [5]))

    assert "meta" == Rows(on_meta).race(torch.zeros(1, 50_257, device="meta")).device.type
