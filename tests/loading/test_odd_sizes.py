"""Quantized matrices of sizes that no kernel is made for, down to a single number."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from gpt2sdk import Generator, GPT2Config, Matrix, Target
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.gpt2.export import save_pretrained
from gpt2sdk.loading.lookup import find_quantizer
from gpt2sdk.plugins.registry import default_registry
from gpt2sdk.testing import tiny_tokenizer

CPU = torch.device("cpu")
# How far a weight may be, in parts of the largest one it shares a scale with, and how far an
# activation may be, in parts of the row's largest one.
ERRORS = {
    "int8": (0.5 / 127, 2**-13),
    "int4": (1 / 15, 2**-8),
    "bnb_int8": (0.5 / 127, 0.5 / 127),
    "bnb_nf4": (0.16, 2**-8),
    "bnb_fp4": (0.18, 2**-8),
}
SIZES = st.integers(1, 70)
# What sums in bfloat16 and statistics of statistics add.
SLACK = 1.1


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ERRORS)
@settings(max_examples=60, deadline=None)
@given(outputs=SIZES, inputs=SIZES, rows=st.integers(1, 9), seed=st.integers(0, 99))
@example(outputs=16, inputs=1, rows=1, seed=0)
@example(outputs=1, inputs=16, rows=5, seed=0)
@example(outputs=1, inputs=1, rows=3, seed=0)
@example(outputs=64, inputs=1, rows=9, seed=0)
def test_products_are_near_those_of_the_plain_matrix_at_any_size(name, outputs, inputs, rows, seed):
    quantizer = find_quantizer(name, default_registry())
    matrix = Matrix("h.0.mlp.c_proj.weight", (outputs, inputs), torch.float32, "linear")
    weight, x = drawn((outputs, inputs), seed), drawn((rows, inputs), seed + 100)
    layer = quantizer.linear(matrix, iter([weight]), None, Target(CPU, torch.float32))
    restored = quantizer.restore(matrix, layer.stored(), None, Target(CPU, torch.float32))
    of_weights, of_activations = ERRORS[name]
    expected, most = x @ weight.T, weight.abs().max()
    with torch.no_grad():
        found = layer(x)
        layer.pack()
        packed = layer(x)
    bound = of_weights * most * x.abs().sum(dim=1, keepdim=True)
    bound = bound + of_activations * x.abs().amax(dim=1, keepdim=True) * weight.abs().sum(dim=1)
    bound = bound + 2**-7 * (x.abs() @ weight.abs().T) * (name not in {"int8", "bnb_int8"})

    assert bool(((found - expected).abs() <= SLACK * bound + 1e-6).all())
    assert torch.equal(packed, found)
    assert torch.equal(restored(x), found)


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_inner": 1},
        {"n_inner": 3},
        {"n_embd": 1, "n_head": 1, "n_inner": 1},
        {"n_embd": 2, "n_head": 2, "n_inner": 33},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", [None, *ERRORS])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_models_of_odd_sizes_compute_the_same_when_they_are_loaded_again(
    tmp_path, name, sizes, dtype
):
    tokenizer = tiny_tokenizer()
    config = GPT2Config(
        **{"vocab_size": 280, "n_positions": 16, "n_embd": 8, "n_head": 2, "n_layer": 1} | sizes,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model, tokens = GPT2(config, seed=0).eval(), torch.arange(20).view(2, 10)
    for parameter in model.parameters():
        generator = torch.Generator().manual_seed(parameter.numel())
        nn.init.normal_(parameter, std=0.5, generator=generator)
    save_pretrained(model, config, tokenizer, tmp_path / "plain")
    gen = Generator.from_pretrained(
        tmp_path / "plain", quantization=name, dtype=dtype, device="cpu"
    )
    gen.save_pretrained(tmp_path / "saved")
    again = Generator.from_pretrained(tmp_path / "saved", device="cpu")
    with torch.no_grad():
        plain, found = model(tokens).logits, gen.model(tokens).logits
        restored = again.model(tokens).logits
    apart = float((found - plain).norm() / plain.norm())

    assert torch.equal(found, restored)
    assert apart < (0.05 if name in {None, "int8", "bnb_int8"} else 0.7)
