"""Quantized models on disk: they compute what they do in memory, in the form kernels read."""

import pytest
import torch

from gpt2sdk import Generator, GPT2Config
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk.loading import LoadSettings, plan_load, size_text
from gpt2sdk.testing import tiny_tokenizer

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
QUANTIZERS = ["int8", "int4", "bnb_int8", "bnb_nf4", "bnb_fp4"]
# The first two words of how products are computed where the kernel can be packed for.
PACKED = {"int4": "int4 bfloat16", "bnb_nf4": "nf4 avx512", "bnb_fp4": "fp4 avx512"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of two blocks whose matrices kernels can read."""
    tokenizer, folder = tiny_tokenizer(), tmp_path_factory.mktemp("model")
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=280,
        n_positions=64,
        n_embd=128,
        n_head=2,
        n_layer=2,
        bos_token_id=end,
        eos_token_id=end,
    )
    save_pretrained(GPT2(config, seed=0).eval(), config, tokenizer, folder)
    return folder


def load(folder, quantization, placement=None):
    """Load a model for torch's functions, which compute wherever its parts are."""
    return Generator.from_pretrained(
        folder, quantization=quantization, placement=placement, device="cpu", runner="torch"
    )


def logits(gen):
    cache = gen.model.make_cache(1)
    return gen.model.score(cache, TOKENS.tolist(), [8]).logits


def stored(model):
    modules = {name: each for name, each in model.named_modules() if hasattr(each, "stored")}
    return {
        name + suffix: tensor.clone()
        for name, each in modules.items()
        for suffix, tensor in each.stored().items()
    }


def same(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(tensor, right[name]) for name, tensor in left.items()
    )


@pytest.mark.parametrize("placement", ["disk_offload", {"": "cpu", "h.1": "disk"}])
@pytest.mark.parametrize("name", QUANTIZERS)
def test_logits_are_those_of_the_model_in_memory_bit_for_bit(folder, name, placement):
    kept, offloaded = load(folder, name), load(folder, name, placement)

    assert torch.equal(logits(kept), logits(offloaded))
    with torch.no_grad():
        assert torch.equal(kept.model(TOKENS).logits, offloaded.model(TOKENS).logits)


@pytest.mark.parametrize("name", PACKED)
def test_matrices_in_4_bits_are_kept_as_kernels_read_them(folder, name):
    in_memory, offloaded = load(folder, name), load(folder, name, "disk_offload")
    logits(in_memory)
    expected = in_memory.model.h[0].mlp.c_fc.kernel
    if expected != PACKED[name]:
        pytest.skip(f"this CPU has no kernel for packed {name}")

    assert expected == offloaded.model.h[0].mlp.c_fc.kernel
    # Whoever wants the plain form gets copies: what is on disk is not brought to memory for good.
    offloaded.model.unpack()
    offloaded.model.state_dict()
    assert expected == offloaded.model.h[0].mlp.c_fc.kernel


@pytest.mark.parametrize("name", QUANTIZERS)
def test_an_offloaded_model_is_saved_as_it_would_be_from_memory(folder, tmp_path, name):
    kept, offloaded = load(folder, name), load(folder, name, "disk_offload")
    expected = stored(kept.model)
    offloaded.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved", None, "disk_offload")

    assert same(expected, stored(offloaded.model))
    assert same(expected, stored(again.model))
    assert torch.equal(logits(kept), logits(again))


@pytest.mark.parametrize("name", [None, *QUANTIZERS])
def test_notes_say_what_is_kept_on_disk(folder, name):
    gen = load(folder, name, "disk_offload")
    settings = LoadSettings(quantization=name, placement="disk_offload", device="cpu")
    plan = plan_load(folder, settings)
    size = sum(part.stored_nbytes for part in plan.parts if part.passes)

    assert gen.notes[-1] == (
        f"wte, wpe, h.0 … h.1 kept on disk ({size_text(size)}): the CPU computes with the files' "
        "pages, and keeps none of them"
    )


def test_notes_of_a_machine_without_a_device_say_that_cpu_offload_does_nothing(folder):
    gen = load(folder, None, "cpu_offload")

    assert gen.notes[-1] == "there is no device: the CPU computes everything"
    assert torch.equal(logits(gen), logits(load(folder, None)))
