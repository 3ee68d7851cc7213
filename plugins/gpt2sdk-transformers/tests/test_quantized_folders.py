"""Folders that transformers quantized: bitsandbytes' are read, others refused by their names."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from gpt2sdk import CheckpointError, Generator, Quantized
from gpt2sdk.files.tensors import SafetensorsSource
from gpt2sdk.testing import tiny_tokenizer
from gpt2sdk_transformers.model import TransformersLM

pytest.importorskip("bitsandbytes", reason="what is read here is written with it")
pytest.importorskip("gpt2sdk_bitsandbytes", reason="what reads these folders is there")

Tiny = Callable[[str], tuple[Generator, PreTrainedModel]]

THEIRS = {
    "int8": {"load_in_8bit": True},
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
}
PROMPT = [5, 6, 7, 8, 9, 10, 11]
# transformers' 8-bit products are in 16 bits on a CPU, and large activations are taken apart.
TOLERANCE = 0.03


# bitsandbytes' 4-bit kernel for CPUs wants blocks of 64.
WIDE = {
    "vocab_size": 280,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 277,
    "eos_token_id": 277,
}


@pytest.fixture
def plain(kind: str, tmp_path: Path) -> Path:
    """A folder in float32."""
    more: dict[str, object] = {"tie_word_embeddings": True} if kind == "qwen3" else {}
    if "mamba" in kind:
        more = {"time_step_rank": 32, "state_size": 16}
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **WIDE, **more))
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) / 10
    network.save_pretrained(tmp_path / "plain")
    return tmp_path / "plain"


def theirs(folder: Path, **options: object) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(
        folder, device_map={"": "cpu"}, dtype=torch.float32, attn_implementation="eager", **options
    ).eval()


def logits(gen: Generator) -> torch.Tensor:
    return gen.model.score(gen.model.make_cache(1), [PROMPT], [len(PROMPT)]).logits


@pytest.mark.parametrize("how", THEIRS)
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2"])
def test_what_transformers_quantized_has_its_logits(plain: Path, how: str, tmp_path: Path) -> None:
    small = theirs(plain, quantization_config=BitsAndBytesConfig(**THEIRS[how]))
    small.save_pretrained(tmp_path / "small")
    tiny_tokenizer().save(tmp_path / "small")
    with torch.no_grad():
        wanted = small(torch.tensor([PROMPT])).logits[0]

    gen = Generator.from_pretrained(tmp_path / "small", dtype="float32")
    found = logits(gen)
    assert (found - wanted).norm() < TOLERANCE * wanted.norm()
    assert gen.quantizer is not None
    assert gen.quantizer.name == f"bnb_{how}"
    assert isinstance(gen.model, TransformersLM)
    layers = {
        name for name, each in gen.model.network.named_modules() if isinstance(each, Quantized)
    }
    assert "model.layers.1.mlp.down_proj" in layers
    assert "lm_head" not in layers

    # The same numbers as are made here of the plain folder, and written by us they are read there.
    gen.save_pretrained(tmp_path / "again")
    assert torch.equal(
        logits(Generator.from_pretrained(tmp_path / "again", dtype="float32")), found
    )
    with torch.no_grad():
        again = theirs(tmp_path / "again")(torch.tensor([PROMPT])).logits[0]
    assert (again - wanted).norm() < TOLERANCE * wanted.norm()


@pytest.mark.parametrize("kind", ["llama"])
def test_modules_that_were_skipped_are_as_they_were(plain: Path, tmp_path: Path) -> None:
    skipped = ["lm_head", "model.layers.0.mlp", "q_proj"]
    config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    small = theirs(plain, quantization_config=config)
    small.save_pretrained(tmp_path / "small")
    tiny_tokenizer().save(tmp_path / "small")
    gen = Generator.from_pretrained(tmp_path / "small", dtype="float32")
    assert isinstance(gen.model, TransformersLM)
    found = {
        name for name, each in gen.model.network.named_modules() if isinstance(each, Quantized)
    }
    attention = {f"model.layers.{n}.self_attn.{part}_proj" for n in (0, 1) for part in "kvo"}
    assert found == attention | {
        f"model.layers.1.mlp.{part}_proj" for part in ("gate", "up", "down")
    }
    with torch.no_grad():
        wanted = small(torch.tensor([PROMPT])).logits[0]
    assert (logits(gen) - wanted).norm() < TOLERANCE * wanted.norm()


@pytest.mark.parametrize("kind", ["mamba", "falcon_mamba"])
@pytest.mark.parametrize("how", THEIRS)
def test_what_is_read_past_its_module_has_to_be_plain(
    plain: Path, how: str, tmp_path: Path
) -> None:
    for skipped in (["lm_head"], ["lm_head", "dt_proj"]):
        config = BitsAndBytesConfig(**THEIRS[how], llm_int8_skip_modules=skipped)
        folder = tmp_path / str(len(skipped))
        small = theirs(plain, quantization_config=config)
        small.save_pretrained(folder)
        tiny_tokenizer().save(folder)
    with pytest.raises(
        CheckpointError, match=r'dt_proj is quantized.*skip_modules=\["lm_head", "dt_proj"\]'
    ):
        Generator.from_pretrained(tmp_path / "1")
    gen = Generator.from_pretrained(tmp_path / "2", dtype="float32")
    found = logits(gen)
    # Not of the folder itself: bitsandbytes' 4-bit kernel for CPUs misreads rows that lie apart in
    # memory, as x_proj is given them.
    reference = theirs(plain)
    quantized = {
        name.removeprefix("network."): each
        for name, each in gen.model.named_modules()  # type: ignore[attr-defined]
        if isinstance(each, Quantized)
    }
    assert "backbone.layers.1.mixer.x_proj" in quantized
    for name, each in quantized.items():
        reference.get_submodule(name).weight.data = each.dequantize()
    with torch.no_grad():
        wanted = reference(torch.tensor([PROMPT]), use_cache=False).logits[0]
    assert (found - wanted).norm() < TOLERANCE * wanted.norm()


# What each writes in place of a matrix.
OTHERS = {
    "gptq": ("qweight", "qzeros", "scales", "g_idx"),
    "awq": ("qweight", "qzeros", "scales"),
    "compressed-tensors": ("weight_packed", "weight_scale", "weight_shape"),
    "fp8": ("weight", "weight_scale_inv"),
    "mxfp4": ("weight_blocks", "weight_scales"),
    "hqq": ("W_q", "meta"),
}


@pytest.mark.parametrize("method", OTHERS)
def test_what_others_quantized_is_refused_by_its_name(
    tiny: Tiny, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, network = tiny("llama")
    network.save_pretrained(tmp_path)
    tiny_tokenizer().save(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    numbers = torch.float8_e4m3fn if method == "fp8" else torch.int32
    for name in [name for name in weights if name.endswith("proj.weight")]:
        matrix = weights.pop(name)
        for part in OTHERS[method]:
            written = matrix.to(numbers) if part == OTHERS[method][0] else torch.ones(4)
            weights[name.removesuffix("weight") + part] = written
    save_file(weights, file, {"format": "pt"})
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | {"quantization_config": {"quant_method": method}}
    path.write_text(json.dumps(config))

    def read(*_: object) -> None:
        message = "weights were read"
        raise AssertionError(message)

    for name in ("slabs", "read"):
        monkeypatch.setattr(SafetensorsSource, name, read)
    message = rf"quantized with {method}, and none .* reads it .*take the model that they were made"
    with pytest.raises(CheckpointError, match=message):
        Generator.from_pretrained(tmp_path)
