"""The model without weights really computes from what its cache was fed."""

import pytest
import torch

from gpt2sdk import CausalLM, LayeredLM
from gpt2sdk.testing import TableModel


def logits(model, *fed):
    cache = model.make_cache(1)
    for tokens in fed:
        found = model.score(cache, [tokens], [1]).logits
    return found


def test_it_is_a_model():
    assert isinstance(TableModel(), CausalLM)
    assert isinstance(TableModel(), LayeredLM)


def test_logits_depend_on_the_last_tokens_fed_and_nothing_else():
    model = TableModel(order=2)

    assert torch.equal(logits(model, [5, 1, 2]), logits(model, [7], [1], [2]))
    assert not torch.equal(logits(model, [5, 1, 2]), logits(model, [5, 3, 2]))
    assert not torch.equal(logits(model, [2]), logits(model, [1, 2]))
    assert torch.equal(logits(model, [1, 2]), logits(TableModel(), [1, 2]))
    assert not torch.equal(logits(model, [1, 2]), logits(TableModel(seed=1), [1, 2]))


def test_its_head_is_linear_and_the_same_again():
    states = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    model = TableModel(order=2)

    assert torch.equal(states, model.final_norm(states))
    torch.testing.assert_close(2 * model.unembed(states), TableModel().unembed(2 * states))


def test_slots_move_and_are_cut_as_told():
    model = TableModel()
    cache = model.make_cache(2)
    model.score(cache, [[1, 2, 3], [4]], [0, 0])

    cache.fork([1, 0, -1, 0])
    cache.rewind([1, 2, 0, 3])

    assert [[4], [1, 2], [], [1, 2, 3]] == cache.slots
    cache.slots[1].append(9)
    assert [1, 2, 3] == cache.slots[3]


def test_kept_positions_are_packed_slot_after_slot():
    model = TableModel()

    scores = model.score(model.make_cache(3), [[1, 2, 3], [], [4]], [2, 0, 1], hidden_states=[0, 2])

    expected = [logits(model, [1, 2]), logits(model, [1, 2, 3]), logits(model, [4])]
    assert torch.equal(torch.cat(expected), scores.logits)
    assert [0, 2] == list(scores.hidden_states)
    assert all(len(states) == 3 for states in scores.hidden_states.values())
    assert not torch.equal(scores.hidden_states[0], scores.hidden_states[2])


def test_it_counts_calls_and_tokens():
    model = TableModel()
    logits(model, [1, 2], [3])

    assert (2, 3) == (model.calls, model.tokens_fed)


def test_a_token_can_be_favoured():
    found = logits(TableModel(bias={3: 100.0}), [1])

    assert 3 == found.argmax()


def test_feeding_beyond_the_window_is_an_error():
    with pytest.raises(ValueError, match="fed 3 tokens into a window of 2"):
        logits(TableModel(context_length=2), [1, 2, 3])


def test_a_foreign_cache_is_an_error():
    class Foreign:
        lengths = ()

        def fork(self, parents): ...
        def rewind(self, lengths): ...

    with pytest.raises(TypeError, match="expected a cache made by this model"):
        TableModel().score(Foreign(), [], [])
