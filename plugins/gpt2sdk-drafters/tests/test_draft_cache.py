"""The cache of a model that drafts: right for any texts, and fed little."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk.testing import TableModel
from gpt2sdk_drafters.draft_cache import DraftCache
from gpt2sdk_drafters.shared_prefix import shared_prefix

TEXT = st.lists(st.integers(0, 3), min_size=1, max_size=40)
CALLS = st.lists(
    st.dictionaries(st.integers(0, 4), TEXT, min_size=1, max_size=4), min_size=1, max_size=5
)


@given(TEXT, TEXT)
def test_a_shared_prefix_is_as_long_as_counted(one, other):
    same = [a == b for a, b in zip(one, other, strict=False)]
    expected = same.index(False) if False in same else len(same)

    assert expected == shared_prefix(one, other)


@given(CALLS, st.sampled_from([4, 9, 64]))
@settings(max_examples=60, deadline=None)
def test_logits_are_those_behind_the_texts(calls, window):
    model = TableModel(4, order=2, context_length=window)
    cache = DraftCache(model)
    for call in calls:
        seats = list(call)[::-1]
        texts = [call[seat] for seat in seats]
        # The table looks at two tokens, and more are always in view.
        alone = [model.score(model.make_cache(1), [each[-2:]], [1]).logits for each in texts]

        assert torch.equal(torch.cat(alone), cache.next_logits(seats, texts))


def fed(model, cache, seats, texts):
    before = model.tokens_fed
    cache.next_logits(seats, texts)
    return model.tokens_fed - before


def test_only_what_is_new_is_fed():
    model = TableModel(9)
    cache = DraftCache(model)
    text = [1, 2, 3, 4, 5]

    assert 5 == fed(model, cache, [0], [text])
    assert 1 == fed(model, cache, [0], [[*text, 6]])
    assert 3 == fed(model, cache, [0], [[*text, 7, 8, 1]])
    assert 1 == fed(model, cache, [0], [text])


def test_a_row_that_came_from_another_seat_finds_its_text_there():
    model = TableModel(9)
    cache = DraftCache(model)
    one, other = [1, 2] * 20, [3, 4] * 20
    fed(model, cache, [0, 1], [one, other])

    assert 2 == fed(model, cache, [0, 1], [[*other, 5], [*one, 5]])
    assert 2 == fed(model, cache, [2, 3], [[*other, 6], [*one, 6]])


def test_rows_of_one_prompt_read_it_once():
    model = TableModel(9)
    cache = DraftCache(model)
    prompt = [1, 2, 3] * 20

    assert 60 + 2 * 1 == fed(model, cache, [0, 1, 2], [[*prompt, 1], [*prompt, 2], prompt][::-1])
    assert 3 == fed(model, cache, [0, 1, 2], [[*prompt, 4], [*prompt, 5], [*prompt, 6]])


@pytest.mark.parametrize("length", [8, 9, 12, 13, 40])
def test_a_text_beyond_the_window_is_read_from_a_place_that_moves_by_half_of_it(length):
    model = TableModel(9, context_length=8)
    cache = DraftCache(model)
    text = [(7 * place) % 9 for place in range(length)]
    costs = [fed(model, cache, [0], [text[: end + 1]]) for end in range(length)]

    assert {1, 5} >= set(costs)
    assert costs.count(5) == max(0, -(-(length - 8) // 4))
