"""Whole models with quantized matrices: logits, company, drafting, copies."""

import copy
import random

import pytest
import torch

from gpt2sdk import Drafter, Generator, Matrix, Quantized, Target
from gpt2sdk.gpt2 import GPT2, Embedding, Linear
from gpt2sdk.testing import Letters, tiny_gpt2
from gpt2sdk_quantization.int4 import Int4
from gpt2sdk_quantization.int8 import Int8

CPU = torch.device("cpu")
QUANTIZERS = [Int8(), Int8(activation_bits=8), Int4(group_size=32)]
PROMPTS = [[1, 2, 3], [4, 5], [6], [7, 8, 9, 1, 2], [3] * 12, [20, 11, 4, 5, 6, 7, 8, 9]]
CALLS = {"greedy": {"strategy": "greedy"}, "sampled": {"temperature": 0.8}}


class Noise(Drafter):
    """Proposes tokens of the row's own past at random."""

    def propose(self, rows, k):
        chance = random.Random(str(rows.histories()))  # noqa: S311 - test data
        return torch.tensor([chance.choices(history, k=k) for history in rows.histories()])


def quantized(quantizer, model: GPT2) -> GPT2:
    """Put quantized matrices in the places of a model's own."""
    for name, module in list(model.named_modules()):
        if not isinstance(module, Linear | Embedding) or name == "wpe":
            continue
        weight = module.weight.detach()
        shape = (weight.shape[0], weight.shape[1])
        if isinstance(module, Embedding):
            matrix = Matrix(f"{name}.weight", shape, torch.float32, "table", tied=True)
            made = quantizer.table(matrix, iter([weight]), Target(CPU, torch.float32))
        else:
            matrix = Matrix(f"{name}.weight", shape, torch.float32, "linear")
            bias = None if module.bias is None else module.bias.detach()
            made = quantizer.linear(matrix, iter([weight]), bias, Target(CPU, torch.float32))
        model.set_submodule(name, made)
    return model.eval()


@pytest.fixture(params=QUANTIZERS, ids=str)
def quantizer(request):
    return request.param


@pytest.fixture
def generator(quantizer, run_by):
    model, letters = run_by(quantized(quantizer, tiny_gpt2())), Letters()
    return Generator(model, letters, decoder=letters, eos_token_ids=[])


def tokens(generator, prompts, **options):
    result = generator.generate(prompts, max_new_tokens=16, **options)
    return [each.tokens for each in result.completions]


def test_logits_are_close_to_those_of_the_model(quantizer, run_by):
    prompt = torch.tensor([PROMPTS[-1]])
    expected = tiny_gpt2()(prompt).logits
    model = quantized(quantizer, tiny_gpt2())
    most = 0.3 if isinstance(quantizer, Int4) else 0.05

    with torch.no_grad():
        found = model(prompt).logits
    assert ((found - expected).norm() / expected.norm()).item() < most

    run_by(model)
    scored = model.score(model.make_cache(1), [PROMPTS[-1]], [len(PROMPTS[-1])]).logits
    assert ((scored - expected[0]).norm() / expected.norm()).item() < most


@pytest.mark.parametrize("call", CALLS)
def test_a_prompt_alone_gets_what_it_gets_in_any_company(generator, call):
    seeds = list(range(len(PROMPTS)))
    together = tokens(generator, PROMPTS, seed=seeds, **CALLS[call])
    alone = [
        tokens(generator, [prompt], seed=[seed], **CALLS[call])[0]
        for seed, prompt in zip(seeds, PROMPTS, strict=True)
    ]

    assert alone == together
    assert together == tokens(generator, PROMPTS, seed=seeds, batch_size=2, **CALLS[call])


@pytest.mark.parametrize("call", CALLS)
def test_a_drafter_changes_nothing(generator, call):
    seeds = list(range(len(PROMPTS)))

    expected = tokens(generator, PROMPTS, seed=seeds, **CALLS[call])

    assert expected == tokens(generator, PROMPTS, seed=seeds, drafter=Noise(), **CALLS[call])


def test_a_copy_of_a_prepared_model_computes_the_same(quantizer, runner, run_by):
    model = run_by(quantized(quantizer, tiny_gpt2()))
    prompt = PROMPTS[-1]
    expected = model.score(model.make_cache(1), [prompt], [1]).logits

    twin = copy.deepcopy(model)
    twin.prepare([runner])

    assert torch.equal(expected, twin.score(twin.make_cache(1), [prompt], [1]).logits)
    assert torch.equal(expected, model.score(model.make_cache(1), [prompt], [1]).logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_a_model_may_be_cast(quantizer, dtype, run_by):
    model, prompt = quantized(quantizer, tiny_gpt2()), PROMPTS[-1]
    expected = model.score(model.make_cache(1), [prompt], [len(prompt)]).logits.clone()

    run_by(model)
    found = model.to(dtype).score(model.make_cache(1), [prompt], [len(prompt)]).logits

    assert model.wte(torch.tensor([1])).dtype == dtype
    assert ((found - expected).norm() / expected.norm()).item() < 0.05


def test_a_model_computes_the_same_prepared_or_not(quantizer):
    model, prompt = quantized(quantizer, tiny_gpt2()), torch.tensor([PROMPTS[-1]])
    with torch.no_grad():
        expected = model(prompt).logits
        for module in model.modules():
            if isinstance(module, Quantized):
                module.pack()

        assert torch.equal(expected, model(prompt).logits)
