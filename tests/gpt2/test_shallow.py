"""The first blocks of a model as a model of their own."""

import pytest
import torch

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.testing import tiny_gpt2


def score(model, rows, **options):
    return model.score(model.make_cache(len(rows)), rows, [len(row) for row in rows], **options)


@pytest.mark.parametrize("prepared", [False, True])
def test_it_makes_what_the_whole_model_has_after_so_many_blocks(prepared, run_by):
    plain = tiny_gpt2()
    model = run_by(tiny_gpt2()) if prepared else plain
    rows = [[3, 1, 4, 1], [5, 9]]
    stream = score(model, rows, hidden_states=[1]).hidden_states[1]
    with torch.no_grad():
        expected = torch.nn.functional.linear(plain.ln_f(stream), plain.wte.weight)

    early = score(model.shallow(1), rows, hidden_states=[0, 1])

    assert torch.allclose(expected, early.logits, atol=1e-5)
    assert torch.allclose(stream, early.hidden_states[1], atol=1e-5)
    assert [0, 1] == list(early.hidden_states)


def test_it_holds_keys_of_its_own_blocks_only():
    model = tiny_gpt2()
    whole, early = model.make_cache(1), model.shallow(1).make_cache(1)
    model.score(whole, [[3, 1]], [1])
    model.shallow(1).score(early, [[3, 1]], [1])

    assert whole.nbytes == 2 * early.nbytes


def test_a_cache_follows_forks_and_rewinds():
    shallow = tiny_gpt2().double().shallow(1)
    expected = score(shallow, [[3, 1, 4], [3, 1, 5]]).logits[[2, 5]]
    cache = shallow.make_cache(1)
    shallow.score(cache, [[3, 1, 7]], [0])
    cache.fork([0, 0])
    cache.rewind([2, 2])

    assert torch.allclose(expected, shallow.score(cache, [[4], [5]], [1, 1]).logits)


def test_weights_are_shared():
    model = tiny_gpt2()
    shallow = model.shallow(1)
    with torch.no_grad():
        model.h[0].mlp.c_proj.weight.zero_()
        model.h[0].attn.c_proj.weight.zero_()
    other = GPT2(model.config).eval()
    other.load_state_dict(model.state_dict())

    expected = score(other.shallow(1), [[3, 1]]).logits
    assert torch.allclose(expected, score(shallow, [[3, 1]]).logits)


def test_layers_that_it_does_not_run_have_no_states():
    with pytest.raises(OptionError, match="layers from 0 to 1"):
        score(tiny_gpt2().shallow(1), [[3, 1]], hidden_states=[2])


@pytest.mark.parametrize("layers", [0, 2, 3])
def test_there_is_a_block_at_least_and_one_is_left_out(layers):
    with pytest.raises(OptionError, match=f"from 1 to 1, since the model has 2; got {layers}"):
        tiny_gpt2().shallow(layers)
