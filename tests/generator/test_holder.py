"""A generator says what it holds, and stays in its process."""

import copy
import pickle
from itertools import chain

import pytest
import torch
from torch import nn
from typing_extensions import override

from gpt2sdk import Architecture, Generator, GPT2Config, Scores
from gpt2sdk.components import Int8
from gpt2sdk.gpt2 import GPT2, Linear
from gpt2sdk.gpt2.packed import has_kernels
from gpt2sdk.testing import Letters, TableCache, TableModel, save_tiny_model, tiny_tokenizer


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("quantization", [None, "int8"])
def test_the_type_is_that_in_which_a_model_computes(tmp_path, dtype, quantization):
    save_tiny_model(tmp_path)
    gen = Generator.from_pretrained(tmp_path, dtype=dtype, quantization=quantization)

    assert getattr(torch, dtype) == gen.dtype == gen.model.ln_f.weight.dtype


def test_who_asks_for_the_type_leaves_packed_matrices_packed():
    config = GPT2Config(n_layer=1, n_embd=256, n_head=2, vocab_size=300, n_positions=64)
    model = GPT2(config).requires_grad_(requires_grad=False).eval()
    gen = Generator(model, tiny_tokenizer())
    model.prepare()
    linears = [module for module in model.modules() if isinstance(module, Linear)]
    packed = [module.packed for module in linears]

    assert torch.float32 == gen.dtype
    assert packed == [module.packed for module in linears]
    assert has_kernels(torch.float32) == any(packed)


class Counts(Architecture):
    """A matrix of the next token's logits."""

    vocab_size: int = 28
    smoothing: float = 0.5

    @override
    def make_model(self, dtype):
        return CountsModel(self.vocab_size)


class CountsModel(nn.Module):
    context_length = 64
    layers = 1
    make_cache = TableCache

    def __init__(self, vocab_size):
        super().__init__()
        self.vocab_size = vocab_size
        self.register_parameter("seen", nn.Parameter(torch.arange(3), requires_grad=False))
        self.table = nn.Linear(vocab_size, vocab_size, bias=False)

    @property
    def device(self):
        return self.table.weight.device

    def score(self, cache, tokens, keep, hidden_states=()):
        fed = [row[len(row) - last :] for row, last in zip(tokens, keep, strict=True)]
        return Scores(self.table.weight[torch.tensor(list(chain(*fed)))].float(), {})


def test_what_another_architecture_says_is_known():
    counts = Counts(smoothing=0.25)
    gen = Generator(CountsModel(28).bfloat16(), Letters(), architecture=counts)

    assert (counts, torch.bfloat16, 0.25) == (gen.config, gen.dtype, gen.config.smoothing)
    assert (
        "Generator(CountsModel(vocab_size=28, context_length=64), dtype=bfloat16, device=cpu)"
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
