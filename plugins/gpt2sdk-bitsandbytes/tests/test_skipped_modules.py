"""Modules that stay as they are, in folders that transformers wrote and in ones that it reads."""

import json

import pytest
import torch
from safetensors import safe_open
from transformers import BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_bitsandbytes.four_bit import BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8

TOKENS = torch.arange(40).view(2, 20)
THEIRS = {
    "int8": {"load_in_8bit": True},
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
}
OURS = {"int8": BnbInt8, "nf4": BnbNf4}
# Large activations and sums are rounded in other ways there.
TOLERANCE = 0.04


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder of a small GPT-2 with random weights, with and without a head of its own."""

    def made(tied):
        folder = tmp_path_factory.mktemp("plain")
        save_tiny_model(folder)
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=288,
            n_positions=32,
            n_embd=64,
            n_head=2,
            n_layer=2,
            tie_word_embeddings=tied,
            bos_token_id=277,
            eos_token_id=277,
            initializer_range=0.2,
        )
        GPT2LMHeadModel(config).eval().save_pretrained(folder)
        return folder

    return {"tied": made(tied=True), "untied": made(tied=False)}


def load_theirs(folder, **options):
    return GPT2LMHeadModel.from_pretrained(
        folder, device_map={"": "cpu"}, dtype=torch.float32, **options
    ).eval()


def copy_tokenizer(source, folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())


def logits_of(model):
    with torch.no_grad():
        return model(TOKENS).logits


def apart(found, expected):
    return float((found - expected).norm() / expected.norm())


def quantized_modules(folder):
    """Names of the modules whose weights are not floating-point numbers."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {
            key.removesuffix(".weight")
            for key in file.keys()  # noqa: SIM118 - it is no mapping
            if key.endswith(".weight") and file.get_slice(key).get_dtype() in ("I8", "U8")
        }


@pytest.mark.parametrize(
    ("ties", "skipped"),
    [
        ("tied", ["lm_head", "h.0"]),
        ("tied", ["lm_head", "transformer.h.0"]),
        ("tied", ["lm_head", "c_proj", r"transformer\.h\.\d\.attn"]),
        ("tied", ["lm_head", "h.0.mlp.c_fc", "h.*"]),
        ("untied", ["lm_head", "h.0"]),
        ("untied", ["h.0"]),
        ("untied", ["transformer.h.1"]),
        ("untied", []),
        ("untied", None),
    ],
)
@pytest.mark.parametrize("kind", THEIRS)
def test_a_folder_that_transformers_wrote_with_skipped_modules_is_read(
    plain, tmp_path, kind, ties, skipped
):
    config = BitsAndBytesConfig(llm_int8_skip_modules=skipped, **THEIRS[kind])
    theirs = load_theirs(plain[ties], quantization_config=config)
    theirs.save_pretrained(tmp_path)
    copy_tokenizer(plain[ties], tmp_path)
    expected = logits_of(theirs)
    gen = Generator.from_pretrained(tmp_path)
    again = tmp_path / "again"
    gen.save_pretrained(again)

    assert apart(logits_of(gen.model), expected) < TOLERANCE
    assert quantized_modules(again) == quantized_modules(tmp_path)
    assert apart(logits_of(load_theirs(again)), expected) < TOLERANCE


@pytest.mark.parametrize("ties", ["tied", "untied"])
@pytest.mark.parametrize(
    ("skipped", "written"),
    [
        (("h.0",), ["lm_head", "transformer.h.0"]),
        (("transformer.h.1.mlp", "c_attn"), ["lm_head", "transformer.h.1.mlp", "c_attn"]),
        ((), None),
    ],
)
@pytest.mark.parametrize("kind", OURS)
def test_transformers_computes_with_what_was_written_with_skipped_modules(
    plain, tmp_path, kind, ties, skipped, written
):
    quantizer = OURS[kind](embeddings="none", skip_modules=skipped)
    gen = Generator.from_pretrained(plain[ties], quantization=quantizer)
    gen.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())["quantization_config"]

    assert config["llm_int8_skip_modules"] == written
    assert apart(logits_of(load_theirs(tmp_path)), logits_of(gen.model)) < TOLERANCE


@pytest.mark.parametrize("kind", OURS)
def test_a_head_quantized_as_layers_are_is_read_by_transformers(plain, tmp_path, kind):
    quantizer = OURS[kind](embeddings="head")
    gen = Generator.from_pretrained(plain["untied"], quantization=quantizer)
    gen.save_pretrained(tmp_path)

    assert "lm_head" in quantized_modules(tmp_path)
    assert apart(logits_of(load_theirs(tmp_path)), logits_of(gen.model)) < TOLERANCE


@pytest.mark.parametrize("embeddings", ["int8", "none", "head"])
def test_blocks_are_named_as_here_or_as_in_transformers(embeddings):
    short, full = (
        BnbNf4(embeddings=embeddings, skip_modules=(name,)) for name in ("h.0", "transformer.h.0")
    )

    assert short == full == BnbNf4.claim(short.config())
