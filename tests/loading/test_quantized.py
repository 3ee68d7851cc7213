"""Quantized and placed models compute what they should, and are saved and loaded bit for bit."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt2sdk import CheckpointError, Generator, OptionError, PluginConflictError
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk.testing import tiny_gpt2, tiny_tokenizer

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


def logits(model):
    return model(TOKENS).logits


def stored(model):
    """Everything a quantized model holds."""
    modules = {name: each for name, each in model.named_modules() if hasattr(each, "stored")}
    tensors = {
        name + suffix: tensor
        for name, each in modules.items()
        for suffix, tensor in each.stored().items()
    }
    return tensors | dict(model.named_parameters()) | dict(model.named_buffers())


def same(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(value, right[name]) and value.dtype == right[name].dtype
        for name, value in left.items()
    )


def save(loaded, folder):
    save_pretrained(
        loaded.model, loaded.model.config, loaded.tokenizer, folder, quantizer=loaded.quantizer
    )
    return folder


def fails(action, error=CheckpointError):
    with pytest.raises(error) as caught:
        action()
    return str(caught.value)


# ----------------------------------------------------------------------------------- computing


def test_a_quantized_model_computes_with_the_quantized_matrices(fakes, tiny):
    loaded = fakes.load(tiny, quantization="byte")
    plain = tiny_gpt2()
    with torch.no_grad():
        for name, module in loaded.model.named_modules():
            if hasattr(module, "stored"):
                plain.get_submodule(name).weight.copy_(module.dequantize())

    assert isinstance(loaded.model.wte, fakes.RowsTable)
    assert isinstance(loaded.model.h[1].mlp.c_proj, fakes.RowsLinear)
    assert torch.allclose(logits(plain), logits(loaded.model), atol=1e-4)
    assert not torch.allclose(logits(tiny_gpt2()), logits(loaded.model), atol=1e-2)


def test_matrices_reach_the_quantizer_as_out_in(fakes, tiny):
    loaded = fakes.load(tiny, quantization="half")
    plain = tiny_gpt2()

    for name in ("h.0.attn.c_attn", "h.0.attn.c_proj", "h.1.mlp.c_fc", "h.1.mlp.c_proj"):
        weight = plain.get_submodule(name).weight
        found = loaded.model.get_submodule(name).dequantize()
        assert torch.allclose(weight, found, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_norms_positions_and_biases_are_in_the_models_type(fakes, tiny, dtype):
    model = fakes.load(tiny, dtype, quantization="byte").model

    assert {dtype} == {str(each.dtype)[6:] for each in model.parameters()}
    assert dtype == str(model.h[0].attn.c_attn.bias.dtype)[6:]
    assert dtype == str(model.wte(TOKENS).dtype)[6:] == model.config.dtype


def test_an_untied_head_is_quantized_as_a_layer(fakes, tmp_path):
    config = tiny_gpt2().config.model_copy(update={"tie_word_embeddings": False})
    save_pretrained(GPT2(config), config, tiny_tokenizer(), tmp_path / "model")
    loaded = fakes.load(tmp_path / "model", quantization="byte")
    again = fakes.load(save(loaded, tmp_path / "saved"))

    assert isinstance(loaded.model.lm_head, fakes.RowsLinear)
    assert "lm_head" == loaded.plan.parts[-1].name
    assert "lm_head.weight.scale" in load_file(tmp_path / "saved" / "model.safetensors")
    assert torch.equal(logits(loaded.model), logits(again.model))


@pytest.mark.parametrize("quantization", [None, "byte"])
def test_a_placed_model_computes_the_same(fakes, tiny, quantization):
    plain = fakes.load(tiny, quantization=quantization)
    placed = fakes.load(tiny, quantization=quantization, placement="attic")
    empty = list(placed.model.h[0].buffers()) if quantization else ()

    assert torch.equal(logits(plain.model), logits(placed.model))
    assert all(each.numel() == 0 for each in empty)
    assert {"device", "disk"} == {part.kept for part in placed.plan.parts}


def test_text_is_generated_with_a_quantized_model(fakes, tiny):
    generator = Generator.from_pretrained(
        tiny,
        device="cpu",
        quantization=fakes.Byte(),
        placement=fakes.Attic(),
        max_memory={"cpu": "1GB"},
    )
    plain = Generator.from_pretrained(tiny, device="cpu", quantization=fakes.Byte())
    results = [
        each.generate("Once", strategy="greedy", max_new_tokens=8) for each in (generator, plain)
    ]

    assert fakes.Byte() == generator.quantizer
    assert results[0].text == results[1].text
    assert any("depend on the rows beside it" in note for note in generator.notes)


# ----------------------------------------------------------------------------- saving, loading


@pytest.mark.parametrize("name", ["half", "byte", "texts"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_saved_loads_bit_for_bit(fakes, tiny, tmp_path, name, dtype):
    first = fakes.load(tiny, dtype, quantization=name)
    before = logits(first.model)
    again = fakes.load(save(first, tmp_path / "saved"))

    assert same(stored(first.model), stored(again.model))
    assert torch.equal(before, logits(again.model))
    assert (first.quantizer, True) == (again.quantizer, again.plan.restored)
    assert first.model.config == again.model.config
    assert first.plan.nbytes == again.plan.nbytes


def test_keys_and_config_are_where_other_programs_look(fakes, tiny, tmp_path):
    folder = save(fakes.load(tiny, quantization=fakes.Byte(skip=("c_fc.weight",))), tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())

    assert {"quant_method": "byte", "skip": ["c_fc.weight"]} == config["quantization_config"]
    assert "float32" == config["dtype"]
    for key, dtype, shape in [
        ("transformer.h.0.attn.c_attn.weight", torch.int8, (96, 32)),
        ("transformer.h.0.attn.c_attn.weight.scale", torch.float32, (96,)),
        ("transformer.h.0.attn.c_attn.bias", torch.float32, (96,)),
        # As in the released files: [in, out].
        ("transformer.h.0.mlp.c_fc.weight", torch.float32, (32, 128)),
        ("transformer.wte.weight.scale", torch.float32, (278,)),
    ]:
        assert (dtype, shape) == (tensors[key].dtype, tuple(tensors[key].shape))


def test_a_tensor_may_stand_beside_its_parameter(fakes, tiny, tmp_path):
    folder = save(fakes.load(tiny, quantization="texts"), tmp_path / "x")
    keys = set(load_file(folder / "model.safetensors"))

    assert {"transformer.h.0.attn.c_attn.STATS", "transformer.wte.weight.state"} <= keys


def test_a_part_that_comes_and_goes_is_saved(fakes, tiny, tmp_path):
    placed = fakes.load(tiny, quantization="byte", placement="attic")
    folder = save(placed, tmp_path / "placed")

    assert same(
        load_file(folder / "model.safetensors"),
        load_file(
            save(fakes.load(tiny, quantization="byte"), tmp_path / "x") / "model.safetensors"
        ),
    )
    assert torch.equal(logits(placed.model), logits(fakes.load(folder).model))


def test_a_quantized_folder_is_placed(fakes, tiny, tmp_path):
    folder = save(fakes.load(tiny, quantization="byte"), tmp_path / "x")

    assert torch.equal(
        logits(fakes.load(folder, placement="attic").model), logits(fakes.load(folder).model)
    )


def test_the_generator_saves_what_it_loaded(fakes, tiny, tmp_path):
    Generator.from_pretrained(tiny, device="cpu", quantization=fakes.Byte()).save_pretrained(
        tmp_path / "saved"
    )

    assert fakes.Byte() == fakes.load(tmp_path / "saved").quantizer


def test_a_quantized_model_is_not_saved_without_its_quantizer(fakes, tiny, tmp_path):
    loaded = fakes.load(tiny, quantization="byte")

    message = fails(
        lambda: save_pretrained(loaded.model, loaded.model.config, None, tmp_path / "x"),
        OptionError,
    )
    assert "pass quantizer=" in message
    assert [] == list(tmp_path.iterdir())


def test_a_plain_model_that_is_saved_is_plain(fakes, tiny, tmp_path):
    config = tiny_gpt2().config.model_copy(
        update={"extra": {"quantization_config": {"quant_method": "byte", "skip": []}}}
    )
    save_pretrained(tiny_gpt2(), config, tiny_tokenizer(), tmp_path / "x", quantizer=fakes.Byte())

    assert fakes.load(tmp_path / "x").quantizer is None


# ---------------------------------------------------------------------- folders that do not fit


@pytest.fixture
def quantized(fakes, tiny, tmp_path):
    """A quantized folder, to be damaged."""
    return save(fakes.load(tiny, quantization="byte"), tmp_path / "quantized")


def change(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


WEIGHT = "transformer.h.1.mlp.c_fc.weight"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda t: t.pop(f"{WEIGHT}.scale"), "1 missing: h.1.mlp.c_fc.weight.scale"),
        (lambda t: t.pop(WEIGHT), "1 missing: h.1.mlp.c_fc.weight"),
        (
            lambda t: t.update({f"{WEIGHT}.zero": torch.ones(1)}),
            f"1 unexpected: {WEIGHT}.zero",
        ),
        (
            lambda t: t.update({f"{WEIGHT}.scale": torch.ones(3)}),
            f"{WEIGHT}.scale: expected float32 of shape [128], found float32 of shape [3]",
        ),
        (
            lambda t: t.update({WEIGHT: torch.ones(128, 32)}),
            f"{WEIGHT}: expected int8 of shape [128, 32], found float32 of shape [128, 32]",
        ),
    ],
)
def test_statistics_and_weights_belong_together(fakes, quantized, damage, said):
    change(quantized, damage)

    assert said in fails(lambda: fakes.load(quantized))


def test_a_plain_folder_that_calls_itself_quantized_is_refused(fakes, tiny, quantized):
    shutil.copy(tiny / "model.safetensors", quantized / "model.safetensors")

    assert "missing: wte.weight.scale" in fails(lambda: fakes.load(quantized))


def test_a_quantized_folder_that_calls_itself_plain_is_refused(fakes, quantized):
    config = json.loads((quantized / "config.json").read_text())
    del config["quantization_config"]
    (quantized / "config.json").write_text(json.dumps(config))

    assert "unexpected: " in fails(lambda: fakes.load(quantized))


def test_sizes_are_not_guessed_from_quantized_matrices(fakes, quantized):
    """Their shapes in a file are the quantizer's affair."""

    def pack(tensors):
        tensors["transformer.h.0.mlp.c_fc.weight"] = torch.ones(64, 32, dtype=torch.int8)

    change(quantized, pack)
    assert "inner_size" not in fails(lambda: fakes.load(quantized))

    config = json.loads((quantized / "config.json").read_text())
    del config["quantization_config"]
    (quantized / "config.json").write_text(json.dumps(config))
    message = fails(lambda: fakes.load(quantized))
    assert "inner_size" not in message
    assert "(the weights are quantized)" in message


def test_a_description_that_is_no_mapping_is_an_error(fakes, quantized):
    config = json.loads((quantized / "config.json").read_text())
    config["quantization_config"] = "int8"
    (quantized / "config.json").write_text(json.dumps(config))

    assert "to be a mapping that says how the weights are quantized, found 'int8'" in fails(
        lambda: fakes.load(quantized)
    )


def test_settings_that_are_refused_say_so(fakes, quantized):
    config = json.loads((quantized / "config.json").read_text())
    config["quantization_config"]["skip"] = 3
    (quantized / "config.json").write_text(json.dumps(config))

    assert "byte: expected a list" in fails(lambda: fakes.load(quantized))


def test_nobody_who_reads_it_is_an_error_that_names_the_method(fakes, quantized):
    nobody = fakes.registry_of(fakes.Half)
    message = fails(lambda: fakes.load(quantized, registry=nobody))
    assert message.endswith(
        "quantized with byte, and none of the installed quantizers reads it (half); or take the "
        "model that they were made of, and quantization='int8'"
    )

    config = json.loads((quantized / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (quantized / "config.json").write_text(json.dumps(config))
    message = fails(lambda: fakes.load(quantized, registry=nobody))
    assert "quantized with bitsandbytes, and it is in gpt2sdk-bitsandbytes" in message
    assert "pip install gpt2sdk-bitsandbytes" in message


@pytest.mark.parametrize("method", ["torchao", "hqq", None])
def test_a_config_that_only_says_that_weights_are_quantized_is_noted(fakes, tiny, tmp_path, method):
    plain = save(fakes.load(tiny), tmp_path / "plain")
    expected = fakes.load(plain)
    config = json.loads((plain / "config.json").read_text())
    config["quantization_config"] = {"quant_type": "Int8WeightOnlyConfig"}
    if method:
        config["quantization_config"]["quant_method"] = method
    (plain / "config.json").write_text(json.dumps(config))
    found = fakes.load(plain)

    assert torch.equal(logits(expected.model), logits(found.model))
    said = method or "a method that is not named"
    note = f"the config says {said}, but nothing is quantized: the weights are plain numbers"
    assert (note, *expected.notes) == found.notes
    assert "quantization_config" not in found.model.config.extra


def test_two_who_claim_it_are_a_conflict(fakes, quantized):
    class Rival(fakes.Byte):
        @classmethod
        def claim(cls, config):
            return cls()

    rivals = fakes.registry_of(fakes.Byte, Rival)

    assert "several quantizers claim its weights" in fails(
        lambda: fakes.load(quantized, registry=rivals), PluginConflictError
    )


def test_the_same_quantization_may_be_asked_for_and_no_other(fakes, quantized):
    expected = logits(fakes.load(quantized).model)

    for asked in ("byte", "auto", fakes.Byte()):
        assert torch.equal(expected, logits(fakes.load(quantized, quantization=asked).model))
    for asked in ("half", fakes.Byte(skip=("c_fc.weight",))):
        message = fails(lambda asked=asked: fakes.load(quantized, quantization=asked), OptionError)
        assert "are quantized already, as Byte(" in message
        assert "leave it out" in message
