"""A generator says what it holds, and stays in its process."""

import copy
import pickle

import pytest
import torch

from gpt2sdk import Generator
from gpt2sdk.components import Int8
from gpt2sdk.testing import Letters, TableModel, save_tiny_model


@pytest.fixture(scope="module")
def gen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return Generator.from_pretrained(folder, quantization="int8")


def test_a_generator_says_what_it_holds(gen):
    config = gen.model.config

    assert torch.device("cpu") == gen.device
    assert torch.float32 == gen.dtype
    assert config is gen.config
    assert config.n_positions == gen.context_length
    assert (
        f"Generator(GPT2(n_layer={config.n_layer}, n_head={config.n_head}, "
        f"n_embd={config.n_embd}, vocab_size={config.vocab_size}, "
        f"context_length={config.n_positions}), dtype=float32, device=cpu, quantizer={Int8()!r})"
    ) == repr(gen)


def test_of_other_models_less_is_known():
    gen = Generator(TableModel(28, context_length=64), Letters(), decoder=Letters())

    assert (None, None, 64) == (gen.config, gen.dtype, gen.context_length)
    assert "Generator(TableModel(context_length=64), device=cpu)" == repr(gen)


@pytest.mark.parametrize("attempt", [pickle.dumps, copy.copy, copy.deepcopy])
def test_who_copies_or_pickles_a_generator_is_told_what_to_do(gen, attempt):
    message = "each process loads its own with Generator.from_pretrained, in a pool's initializer"
    with pytest.raises(TypeError, match=message):
        attempt(gen)


def test_results_are_pickled(gen):
    result = gen.generate("Once", max_new_tokens=2, seed=1)

    again = pickle.loads(pickle.dumps(result))  # noqa: S301 - made in this line
    assert result.completions == again.completions
    assert dict(result.options) == dict(again.options)
