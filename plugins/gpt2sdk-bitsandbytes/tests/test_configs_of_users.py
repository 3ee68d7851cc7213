"""What users hand in as `quantization=` who come from transformers."""

import pytest
import torch
from transformers import BitsAndBytesConfig, GPTQConfig

from gpt2sdk import Generator, OptionError
from gpt2sdk.loading import LoadSettings, plan_load
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8


@pytest.fixture
def folder(tmp_path):
    save_tiny_model(tmp_path)
    return tmp_path


def quantizer(folder, quantization):
    return plan_load(folder, LoadSettings(quantization=quantization, device="cpu")).quantizer


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"load_in_8bit": True}, BnbInt8(embeddings="none")),
        (
            {"load_in_8bit": True, "llm_int8_threshold": 3.0},
            BnbInt8(embeddings="none", threshold=3.0),
        ),
        (
            {"load_in_8bit": True, "llm_int8_skip_modules": ["lm_head", "transformer.h.1"]},
            BnbInt8(embeddings="none", skip_modules=("h.1",)),
        ),
        (
            {"load_in_8bit": True, "llm_int8_skip_modules": ["c_proj"]},
            BnbInt8(embeddings="head", skip_modules=("c_proj",)),
        ),
        ({"load_in_4bit": True}, BnbFp4(embeddings="none", double_quant=False)),
        (
            {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_use_double_quant": True,
                "bnb_4bit_compute_dtype": torch.bfloat16,
                "bnb_4bit_quant_storage": torch.uint8,
            },
            BnbNf4(embeddings="none", compute_dtype="bfloat16"),
        ),
    ],
)
def test_a_config_of_transformers_becomes_the_quantizer_with_its_settings(
    folder, options, expected
):
    config = BitsAndBytesConfig(**options)

    assert [expected] * 3 == [
        quantizer(folder, given) for given in (config, config.to_dict(), options)
    ]


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        (
            {"load_in_8bit": True, "llm_int8_enable_fp32_cpu_offload": True},
            "llm_int8_enable_fp32_cpu_offload",
            "with placement=",
        ),
        (
            {"load_in_8bit": True, "llm_int8_has_fp16_weight": True},
            "llm_int8_has_fp16_weight",
            "leave it out",
        ),
        (
            {"load_in_4bit": True, "bnb_4bit_quant_storage": torch.bfloat16},
            "bnb_4bit_quant_storage",
            "bnb_4bit_quant_storage='bfloat16' is not offered",
        ),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "int4"}, "bnb_4bit_quant_type", "nf4, fp4"),
        ({}, "load_in_8bit", "neither load_in_8bit=True nor load_in_4bit=True"),
    ],
)
def test_what_is_not_offered_is_refused_by_its_name(folder, options, name, message):
    with pytest.raises(OptionError, match=message) as caught:
        quantizer(folder, BitsAndBytesConfig(**options))

    assert caught.value.name == name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"load_in_4bit": True, "bnb_4bit_quanttype": "nf4"}, "did you mean bnb_4bit_quant_type?"),
        ({"load_in_4bit": True, "load_in_8bit": True}, "expected one of load_in_4bit and"),
        ({"load_in_8bit": True, "llm_int8_threshold": -1.0}, "threshold"),
        (GPTQConfig(bits=4), "the config is for gptq, and none of the installed quantizers"),
        ({"bits": 4}, "a method that is not named"),
    ],
)
def test_other_configs_are_refused_with_the_reason(folder, given, message):
    with pytest.raises(OptionError, match=message):
        quantizer(folder, given)


def test_a_model_loaded_with_a_config_generates_what_it_does_with_the_quantizer(folder):
    gen = Generator.from_pretrained(
        folder, quantization=BitsAndBytesConfig(load_in_8bit=True), device="cpu"
    )
    same = Generator.from_pretrained(folder, quantization=BnbInt8(embeddings="none"), device="cpu")
    options = {"max_new_tokens": 8, "seed": 7}

    assert gen.quantizer == same.quantizer
    assert gen.generate("Once", **options).texts == same.generate("Once", **options).texts
