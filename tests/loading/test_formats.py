"""A file of an installed format is a model like any other."""

import json

import pytest
import torch

from gpt2sdk import (
    CheckpointError,
    CheckpointFormat,
    Generator,
    PluginConflictError,
    PluginContractError,
    TokenizerError,
)
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import tiny_gpt2
from gpt2sdk.tokenizer.tokenizer import Tokenizer

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


class Parcel(CheckpointFormat):
    """Claims the suffix of another plugin's format."""

    suffix = ".BUNDLE"

    def open(self, file):
        raise CheckpointError("never asked")


class TinyBundle(CheckpointFormat):
    """Has a longer suffix than another plugin's format."""

    suffix = ".tiny.bundle"

    def open(self, file):
        raise CheckpointError(f"{file.name} is tiny")


def test_two_plugins_that_read_one_suffix_are_an_error_that_names_both(fakes, file):
    class Mine(fakes.Plugin):
        """Another plugin."""

    registry = Registry([fakes.Plugin(*fakes.everything), Mine(Parcel)], discover=False)

    with pytest.raises(PluginConflictError) as caught:
        fakes.load(file, registry=registry)
    assert (
        f"{file}: several plugins read .bundle files: the checkpoint format bundle of Plugin, "
        "the checkpoint format parcel of Mine; "
        "uninstall one, or name in GPT2SDK_PLUGINS those to use"
    ) == str(caught.value)


def test_the_format_of_the_longer_suffix_reads_a_file(fakes, file, tmp_path):
    registry = fakes.registry_of(*fakes.everything, TinyBundle)
    other = file.rename(tmp_path / "my.tiny.bundle")

    with pytest.raises(CheckpointError, match=r"my\.tiny\.bundle is tiny"):
        fakes.load(other, registry=registry)
    plain = other.rename(tmp_path / "mine.bundle")
    assert "it was one file" in fakes.load(plain, registry=registry).notes


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
