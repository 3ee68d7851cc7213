"""Models in GGUF files are the models they were made from."""

import json

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from gpt2sdk import Generator, GPT2Config, Tokenizer
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk.gpt2.gguf_words import own_name
from gpt2sdk.loading import open_model
from gpt2sdk.plugins.registry import default_registry
from gpt2sdk_gguf.gguf_format import Gguf

# What a file does not say, or says where a config may leave it out.
UNSAID = {"n_inner": 1024, "initializer_range": 0.02}
KINDS = [
    Kind.F32,
    Kind.F16,
    Kind.BF16,
    Kind.Q8_0,
    Kind.Q4_0,
    Kind.Q4_1,
    Kind.Q5_0,
    Kind.Q5_1,
    Kind.Q4_K,
    Kind.Q6_K,
]


def opened(path):
    """Return a file as the architecture has translated it."""
    return open_model(path, registry=default_registry())


def read(source, name, dim=0):
    return torch.cat([slab.clone() for slab in source.slabs(name, dim)], dim=dim)


def test_names_are_those_of_the_gguf_package():
    layers = 3
    theirs = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, layers)
    modules = ["wte", "wpe", "ln_f", "lm_head"]
    blocks = ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]
    modules += [f"h.{layer}.{block}" for layer in range(layers) for block in blocks]
    prefixed = {name: name if name == "lm_head" else f"transformer.{name}" for name in modules}
    found = {own_name(f"{theirs.get_name(prefixed[name])}.weight") for name in modules}

    assert {f"{name}.weight" for name in modules} == found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("dim", [0, 1])
def test_tensors_are_expanded_to_the_numbers_they_stand_for(write_file, kind, dim, monkeypatch):
    # Small slabs, so that matrices are cut.
    monkeypatch.setattr("gpt2sdk_gguf.source._SLAB_NUMBERS", 20_000)
    path, expected = write_file(kind)
    source = opened(path).checkpoint.source
    cut = len(list(source.slabs("h.0.mlp.c_proj.weight", dim)))

    assert cut > 1
    assert expected.keys() == source.infos.keys()
    for name, weights in expected.items():
        found = read(source, name, dim if weights.ndim == 2 else 0)
        assert source.infos[name].shape == tuple(weights.shape) == tuple(found.shape)
        assert str(found.dtype) == f"torch.{source.infos[name].dtype}"
        assert torch.allclose(weights, found.float(), rtol=1e-6, atol=1e-7), name


@pytest.mark.parametrize(
    ("kind", "error"), [(Kind.Q8_0, 0.01), (Kind.Q4_K, 0.1), (Kind.Q6_K, 0.03)]
)
def test_quantized_tensors_are_near_the_weights(write_file, small, kind, error):
    path, _ = write_file(kind)
    source = opened(path).checkpoint.source
    weights = small[0].state_dict()["h.1.attn.c_proj.weight"]
    found = read(source, "h.1.attn.c_proj.weight")

    assert (found - weights).norm() / weights.norm() < error


@pytest.mark.parametrize(("kind", "block"), [(Kind.F16, (1, 2)), (Kind.Q8_0, (32, 34))])
def test_bytes_are_those_in_the_file(write_file, kind, block):
    """Q8_0 holds 32 numbers in 34 bytes: 32 of them, and a scale of two."""
    path, _ = write_file(kind)
    source = opened(path).checkpoint.source
    name = "h.1.attn.c_proj.weight"
    rows, columns = source.infos[name].shape

    assert rows * columns // block[0] * block[1] == source.nbytes(name)


def test_sizes_and_tokens_are_read(write_file, small):
    path, _ = write_file(Kind.Q8_0)
    found = opened(path)
    expected = small[1]

    assert expected.model_copy(update=UNSAID) == GPT2Config.from_dict(found.config.values)
    assert ("tensors were expanded to float32: 9 in Q8_0",) == found.notes


@pytest.mark.parametrize("kind", [Kind.F32, Kind.Q4_0, Kind.Q4_K, Kind.Q6_K], ids=lambda k: k.name)
def test_text_is_that_of_the_same_weights_in_a_folder(write_file, tmp_path, small, tokenizer, kind):
    path, weights = write_file(kind)
    model, config = GPT2(small[1], seed=0).eval(), small[1]
    model.load_state_dict(weights)
    save_pretrained(model, config, tokenizer, tmp_path / "folder")
    options = {"max_new_tokens": 12, "seed": 3}
    expected = Generator.from_pretrained(tmp_path / "folder").generate("Once upon the", **options)
    found = Generator.from_pretrained(path).generate("Once upon the", **options)

    assert expected.completions[0].tokens == found.completions[0].tokens
    assert expected.text == found.text


def test_the_tokenizer_is_the_one_that_was_written(write_file, tokenizer):
    path, _ = write_file()
    found = Tokenizer.from_texts(Gguf().open(path).tokenizer)
    texts = ["Once upon the time", "naïve – 東京\n\t<|endoftext|> and", "", "  the  "]

    assert tokenizer.vocab_size == found.vocab_size
    for text in texts:
        assert tokenizer.encode(text) == found.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == found.decode(tokenizer.encode(text))
    assert tokenizer.special_tokens == found.special_tokens


def test_a_second_copy_of_the_table_is_a_tied_head(write_file):
    path, _ = write_file(Kind.Q8_0, head_kind=Kind.Q8_0)
    found = opened(path)

    assert found.config.values["tie_word_embeddings"]
    assert "lm_head.weight" not in found.checkpoint.source.infos


def test_a_head_of_another_type_is_a_head_of_its_own(write_file):
    path, expected = write_file(Kind.Q4_K, head_kind=Kind.Q6_K)
    found = opened(path)
    model = Generator.from_pretrained(path).model

    assert not found.config.values["tie_word_embeddings"]
    assert torch.equal(model.lm_head.dense(), expected["lm_head.weight"])


def test_another_way_of_splitting_text_is_noted(write_file):
    def other(writer):
        writer.kv_data[0].pop("tokenizer.ggml.pre")
        writer.add_tokenizer_pre("llama-bpe")

    path, _ = write_file(change=other)

    assert ("text is split as by GPT-2; the file says 'llama-bpe'",) == Gguf().open(path).notes


def test_the_end_of_a_turn_ends_a_text_too(write_file, tokenizer):
    end = tokenizer.eos_token_id
    path, _ = write_file(change=lambda writer: writer.add_eot_token_id(end + 1))

    assert {end, end + 1} == Generator.from_pretrained(path).eos_token_ids


def test_an_end_token_that_is_an_ordinary_word_ends_nothing(write_file, tokenizer):
    (word,) = tokenizer.encode(" the")
    path, _ = write_file(change=lambda writer: writer.add_eot_token_id(word))
    generator = Generator.from_pretrained(path)

    assert {tokenizer.eos_token_id} == generator.eos_token_ids
    assert f"the config's end token {word} is the ordinary word ' the'" in generator.notes[-1]
    assert {"<|endoftext|>"} == set(generator.tokenizer.special_tokens)


def test_whether_texts_begin_with_the_bos_token_is_read_and_saved(write_file, tmp_path):
    path, _ = write_file(change=lambda writer: writer.add_add_bos_token(value=True))
    generator = Generator.from_pretrained(path)
    generator.save_pretrained(tmp_path / "saved")

    assert generator.tokenizer.adds_bos
    assert Tokenizer.from_folder(tmp_path / "saved").adds_bos


@pytest.mark.parametrize(
    "templates",
    ["{{ a }}", [{"name": "default", "template": "{{ a }}"}, {"name": "tool", "template": "b"}]],
)
def test_chat_templates_are_saved(write_file, tmp_path, templates):
    path, _ = write_file(change=lambda writer: writer.add_chat_template(templates))
    Generator.from_pretrained(path).save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text("utf-8"))

    assert templates == saved["chat_template"]
