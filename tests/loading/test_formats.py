"""A file of an installed format is a model like any other."""

import json

import pytest
import torch

from gpt2sdk import CheckpointError, Generator, PluginContractError, TokenizerError
from gpt2sdk.gpt2.tokenizer import Tokenizer
from gpt2sdk.testing import tiny_gpt2

TOKENS = torch.tensor([[3, 1, 4, 1, 5]])


@pytest.fixture
def file(tiny, tmp_path):
    """A model in one file."""
    path = tmp_path / "tiny.bundle"
    path.write_text(json.dumps({"folder": str(tiny)}))
    return path


def test_a_file_is_opened_by_the_format_of_its_suffix(fakes, file, tiny):
    loaded = fakes.load(file)

    assert torch.equal(tiny_gpt2()(TOKENS).logits, loaded.model(TOKENS).logits)
    assert "Once upon" == loaded.tokenizer.decode(loaded.tokenizer.encode("Once upon"))
    assert ("folder", file) == (loaded.source.kind, loaded.source.path)
    assert "it was one file" in loaded.notes
    assert loaded.notes == fakes.plan(file).notes


def test_type_quantization_and_placement_are_as_for_folders(fakes, file, tiny, tmp_path):
    settings = {"quantization": "byte", "placement": "attic"}
    loaded = fakes.load(file, "bfloat16", **settings)
    expected = fakes.load(tiny, "bfloat16", **settings)

    assert torch.equal(expected.model(TOKENS).logits, loaded.model(TOKENS).logits)
    fakes.convert(file, tmp_path / "converted", "byte")
    assert fakes.Byte() == fakes.load(tmp_path / "converted").quantizer


def test_it_is_saved_as_a_folder(fakes, file, tmp_path):
    registry_plugin = fakes.Plugin(*fakes.everything)
    generator = Generator.from_pretrained(file, device="cpu", plugins=[registry_plugin])
    generator.save_pretrained(tmp_path / "folder")

    assert torch.equal(
        generator.model(TOKENS).logits, fakes.load(tmp_path / "folder").model(TOKENS).logits
    )


def test_a_damaged_file_is_the_formats_to_explain(fakes, file):
    file.write_text("{")

    with pytest.raises(PluginContractError, match=r"the format bundle failed on .*tiny.bundle"):
        fakes.load(file)


def test_a_format_that_nothing_reads_is_said(fakes, file, tmp_path):
    other = tmp_path / "tiny.gguf"
    other.write_bytes(b"GGUF")

    with pytest.raises(CheckpointError, match=r"none .* reads it: it is in gpt2sdk-gguf"):
        fakes.load(other)
    with pytest.raises(CheckpointError, match="not found"):
        fakes.load("nothing.gguf")


def test_a_tokenizer_is_made_of_texts(tiny):
    texts = {"tokenizer.json": (tiny / "tokenizer.json").read_text()}
    tokenizer, expected = Tokenizer.from_texts(texts), Tokenizer.from_folder(tiny)

    for text in ("Once upon a time", "naïve ☃\n\n", "<|endoftext|>"):
        assert expected.encode(text) == tokenizer.encode(text)
    assert expected.eos_token_id == tokenizer.eos_token_id


def test_a_tokenizer_is_made_of_vocabulary_and_merges():
    letters = Tokenizer.from_texts(
        {"vocab.json": '{"a": 0, "b": 1, "ab": 2}', "merges.txt": "#version: 0.2\na b\n"}
    )

    assert [2, 0] == letters.encode("aba")


@pytest.mark.parametrize("name", ["../tokenizer.json", "/etc/passwd", "config.json"])
def test_texts_of_other_files_are_refused(name):
    with pytest.raises(TokenizerError, match=f"expected texts of tokenizer.json.*; got {name}"):
        Tokenizer.from_texts({name: "{}"})
