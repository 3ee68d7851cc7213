"""What stands in `config.json`, which matrices are planned for, and how many bytes they take."""

import pytest
import torch

from gpt2sdk import CheckpointError, Matrix, OptionError
from gpt2sdk_bitsandbytes import library
from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
KINDS = (BnbInt8, BnbNf4, BnbFp4)
MIB = 2**20
# What transformers writes for BitsAndBytesConfig(load_in_8bit=True) and for
# BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True).
INT8 = {
    "_load_in_4bit": False,
    "_load_in_8bit": True,
    "bnb_4bit_compute_dtype": "float32",
    "bnb_4bit_quant_storage": "uint8",
    "bnb_4bit_quant_type": "fp4",
    "bnb_4bit_use_double_quant": False,
    "llm_int8_enable_fp32_cpu_offload": False,
    "llm_int8_has_fp16_weight": False,
    "llm_int8_skip_modules": None,
    "llm_int8_threshold": 6.0,
    "load_in_4bit": False,
    "load_in_8bit": True,
    "quant_method": "bitsandbytes",
}
NF4 = INT8 | {
    "load_in_4bit": True,
    "load_in_8bit": False,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
}


def claimed(config):
    return [found for kind in KINDS if (found := kind.claim(config)) is not None]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (INT8, BnbInt8(embeddings="none")),
        (NF4, BnbNf4(embeddings="none")),
        (NF4 | {"bnb_4bit_quant_type": "fp4"}, BnbFp4(embeddings="none")),
        (
            NF4 | {"bnb_4bit_compute_dtype": "bfloat16", "bnb_4bit_use_double_quant": False},
            BnbNf4(embeddings="none", compute_dtype="bfloat16", double_quant=False),
        ),
        (
            INT8 | {"llm_int8_skip_modules": ["lm_head", "c_proj"], "llm_int8_threshold": 4.0},
            BnbInt8(embeddings="none", skip_modules=("c_proj",), threshold=4.0),
        ),
        (
            INT8 | {"llm_int8_skip_modules": ["c_proj"]},
            BnbInt8(embeddings="head", skip_modules=("c_proj",)),
        ),
        ({"load_in_8bit": True}, BnbInt8(embeddings="none")),
    ],
)
def test_each_config_of_transformers_has_one_reader(config, expected):
    assert [expected] == claimed(config)


@pytest.mark.parametrize("quantizer", [BnbInt8(), BnbNf4(), BnbFp4()], ids=lambda each: each.name)
@pytest.mark.parametrize("embeddings", ["int8", "none", "head"])
def test_a_config_has_one_reader_and_only_plain_tables_are_for_transformers(quantizer, embeddings):
    quantizer = type(quantizer)(embeddings=embeddings)
    config = quantizer.config()

    assert [quantizer] == claimed(config)
    assert (embeddings != "int8") == (config["quant_method"] == "bitsandbytes")
    assert (embeddings != "int8") == ("load_in_4bit" in config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bnb_4bit_quant_storage": "bfloat16"}, "bnb_4bit_quant_storage is 'bfloat16'"),
        ({"llm_int8_has_fp16_weight": True}, "llm_int8_has_fp16_weight"),
        ({"load_in_8bit": True}, "expected one of load_in_4bit and load_in_8bit"),
        ({"bnb_4bit_compute_dtype": "int8"}, "compute_dtype"),
        ({"llm_int8_skip_modules": ["("]}, "skip_modules"),
    ],
)
def test_configs_that_cannot_be_read_are_refused(change, message):
    with pytest.raises(CheckpointError, match=message):
        BnbNf4.claim(NF4 | change)


def test_a_newer_version_is_refused():
    config = {**BnbNf4().config(), "version": 2}

    with pytest.raises(CheckpointError, match="upgrade gpt2sdk-bitsandbytes"):
        BnbNf4.claim(config)


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(OptionError, match="skip_modules"):
        BnbInt8(skip_modules=("(",))


def test_skipped_modules_stay_as_they_are():
    layers = [f"h.{layer}.attn.c_proj" for layer in (0, 1, 10)]
    matrices = [Matrix(f"{name}.weight", (64, 64), torch.float32, "linear") for name in layers]
    quantizer = BnbInt8(skip_modules=("transformer.h.1",))
    planned = [quantizer.plan(matrix, CPU) is not None for matrix in matrices]

    assert [True, False, True] == planned


def matrices_of(layers, width):
    """The shapes of a GPT-2."""
    yield Matrix("wte.weight", (50257, width), torch.float32, "table", tied=True)
    for layer in range(layers):
        for name, outputs, inputs in (
            ("attn.c_attn", 3, 1),
            ("attn.c_proj", 1, 1),
            ("mlp.c_fc", 4, 1),
            ("mlp.c_proj", 1, 4),
        ):
            shape = outputs * width, inputs * width
            yield Matrix(f"h.{layer}.{name}.weight", shape, torch.float32, "linear")


def megabytes(quantizer, layers, width, device):
    planned = [quantizer.plan(matrix, device) for matrix in matrices_of(layers, width)]
    # Positions, norms and biases stay, at two bytes a number.
    rest = 2 * (1024 * width + layers * 13 * width + 2 * width)
    return (sum(each.nbytes for each in planned) + rest) / MIB


@pytest.mark.parametrize(
    ("layers", "width", "on_gpu", "on_cpu"), [(12, 768, 82, 84), (48, 1600, 808, 852)]
)
def test_nf4_models_take_the_bytes_they_should(layers, width, on_gpu, on_cpu):
    assert megabytes(BnbNf4(), layers, width, CUDA) < on_gpu
    # Packed, statistics are there once more.
    assert megabytes(BnbNf4(), layers, width, CPU) < on_cpu
    assert megabytes(BnbNf4(), layers, width, CPU) == pytest.approx(
        megabytes(BnbNf4(), layers, width, CUDA)
        + library.has_packed_kernel() * 12 * layers * width**2 / 32 / MIB
    )


def test_4_bits_are_tried_behind_int4_of_gpt2sdk_quantization():
    # That one has 20: it is closer to the weights, and has a kernel for every CPU.
    ladders = {each.name: each.ladder for each in (BnbInt8, BnbNf4, BnbFp4)}

    assert {"bnb_int8": 15, "bnb_nf4": 30, "bnb_fp4": None} == ladders
