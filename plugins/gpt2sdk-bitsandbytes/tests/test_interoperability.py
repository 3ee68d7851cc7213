"""Folders that transformers saved are read here, and the other way round."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel

from gpt2sdk import CheckpointError, Generator, Matrix, Target, TensorInfo
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8

CPU = torch.device("cpu")
LAYERS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
TOKENS = torch.arange(40).view(2, 20) % 97
THEIRS = {
    "nf4": BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    ),
    "plain nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "fp4": BitsAndBytesConfig(load_in_4bit=True),
    "int8": BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=3.0),
}
OURS = {
    "nf4": BnbNf4(embeddings="none"),
    "plain nf4": BnbNf4(embeddings="none", double_quant=False),
    "fp4": BnbFp4(embeddings="none", double_quant=False),
    "int8": BnbInt8(embeddings="none", threshold=3.0),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A small GPT-2 with random weights, saved by transformers."""
    torch.manual_seed(0)
    config = GPT2Config(
        n_embd=64,
        n_head=4,
        n_layer=2,
        vocab_size=97,
        n_positions=32,
        bos_token_id=0,
        eos_token_id=0,
    )
    folder = tmp_path_factory.mktemp("plain")
    GPT2LMHeadModel(config).eval().save_pretrained(folder)
    return folder


def load_theirs(folder, **options):
    return GPT2LMHeadModel.from_pretrained(
        folder, device_map={"": "cpu"}, dtype=torch.float32, **options
    ).eval()


def logits_of(model):
    with torch.no_grad():
        return model(TOKENS).logits


def matrices(state):
    for name in state:
        layer = name.removeprefix("transformer.").removesuffix(".weight")
        if layer.endswith(LAYERS) and name.endswith(".weight"):
            inputs = 256 if layer.endswith("mlp.c_proj") else 64
            outputs = len(state[f"transformer.{layer}.bias"])
            yield name, Matrix(f"{layer}.weight", (outputs, inputs), torch.float32, "linear")


def key(name, suffix):
    return name.removesuffix("weight") + suffix[3:] if suffix.startswith("../") else name + suffix


def logits_with(model, layers):
    """Put our layers into transformers' model, and compute."""
    for name, layer in layers.items():
        model.set_submodule(name.removesuffix(".weight"), layer)
    return logits_of(model)


@pytest.mark.parametrize("kind", THEIRS)
def test_a_folder_that_transformers_saved_is_read(plain, tmp_path, kind):
    theirs = load_theirs(plain, quantization_config=THEIRS[kind])
    theirs.save_pretrained(tmp_path)
    expected = logits_of(theirs)
    config = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    state = load_file(tmp_path / "model.safetensors")
    claims = [kind.claim(config) for kind in (BnbInt8, BnbNf4, BnbFp4)]
    (quantizer,) = (claim for claim in claims if claim is not None)
    layers = {}
    for name, matrix in matrices(state):
        planned = quantizer.plan(matrix, CPU)
        tensors = {suffix: state[key(name, suffix)] for suffix in planned.stored}
        layer = quantizer.restore(
            matrix, tensors, state[name[:-6] + "bias"], Target(CPU, torch.float32)
        )
        assert {suffix: tensor.tolist() for suffix, tensor in layer.stored().items()} == {
            suffix: tensor.tolist() for suffix, tensor in tensors.items()
        }
        layers[name] = layer
    found = logits_with(load_theirs(plain), layers)

    assert quantizer == OURS[kind]
    assert len(layers) == 8
    assert (found - expected).norm() / expected.norm() < 0.02


def save_ours(quantizer, plain, folder):
    """Write a folder with our layers; return the logits with them."""
    state = load_file(plain / "model.safetensors")
    written, layers = {}, {}
    planned = dict(matrices(state))
    for name, tensor in state.items():
        matrix = planned.get(name)
        if matrix is None:
            written[name] = tensor
            continue
        layer = quantizer.linear(
            matrix,
            iter([tensor.T]),
            state[name[:-6] + "bias"],
            Target(CPU, torch.float32),
        )
        layers[name] = layer
        written |= {key(name, suffix): part for suffix, part in layer.stored().items()}
    if quantizer.embeddings == "int8":
        name = "transformer.wte.weight"
        matrix = Matrix("wte.weight", (97, 64), torch.float32, "table", tied=True)
        table = quantizer.table(matrix, iter([state[name]]), Target(CPU, torch.float32))
        written |= {key(name, suffix): part for suffix, part in table.stored().items()}
    save_file(written, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((plain / "config.json").read_text())
    config["quantization_config"] = dict(quantizer.config())
    (folder / "config.json").write_text(json.dumps(config))
    return logits_with(load_theirs(plain), layers)


@pytest.mark.parametrize("kind", OURS)
def test_transformers_reads_what_is_saved_here(plain, tmp_path, kind):
    expected = save_ours(OURS[kind], plain, tmp_path)
    found = logits_of(load_theirs(tmp_path))

    assert (found - expected).norm() / expected.norm() < 0.02


def test_transformers_refuses_a_table_in_8_bits(plain, tmp_path):
    save_ours(BnbInt8(), plain, tmp_path)

    with pytest.raises((RuntimeError, ValueError)):
        load_theirs(tmp_path)


def test_what_is_saved_does_not_change_with_products(plain):
    state = load_file(plain / "model.safetensors")
    name, matrix = next(matrices(state))
    layer = BnbNf4(double_quant=False).linear(
        matrix, iter([state[name].T]), None, Target(CPU, torch.float32)
    )
    before = {suffix: tensor.clone() for suffix, tensor in layer.stored().items()}
    layer.pack()
    layer(torch.ones(3, 64))
    after = layer.stored()

    assert all(torch.equal(before[suffix], after[suffix]) for suffix in before)


def test_a_matrix_quantized_as_inputs_by_outputs_is_refused():
    quantizer = BnbNf4()
    matrix = Matrix("h.0.attn.c_attn.weight", (192, 64), torch.float32, "linear")
    turned = Matrix("h.0.attn.c_attn.weight", (64, 192), torch.float32, "linear")
    layer = quantizer.linear(turned, iter([torch.ones(64, 192)]), None, Target(CPU, torch.float32))

    with pytest.raises(CheckpointError, match=r"\[in, out\] = \[64, 192\]"):
        quantizer.restore(matrix, dict(layer.stored()), None, Target(CPU, torch.float32))


@pytest.mark.parametrize("size", [32, 128, 1024])
@pytest.mark.parametrize("double", [True, False])
def test_the_size_of_blocks_is_found_in_the_file(tmp_path, size, double):
    save_tiny_model(tmp_path / "plain")
    quantizer = BnbNf4(embeddings="none", block_size=size, double_quant=double)
    saved = Generator.from_pretrained(tmp_path / "plain", quantization=quantizer, device="cpu")
    saved.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    # Only we write it; transformers reads it beside each matrix.
    del config["quantization_config"]["block_size"]
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config))
    again = Generator.from_pretrained(tmp_path / "saved", device="cpu")

    assert again.quantizer == quantizer
    assert torch.equal(logits_of(again.model), logits_of(saved.model))


def test_blocks_of_a_size_that_is_not_offered_are_refused():
    infos = {
        "h.0.mlp.c_fc.weight": TensorInfo((2**20, 1), "uint8"),
        "h.0.mlp.c_fc.weight.absmax": TensorInfo((2**21 // 4096,), "float32"),
    }

    with pytest.raises(CheckpointError, match="each block of 32, 64, 128, 256, 512, 1024 numbers"):
        BnbNf4().fitted(infos)
