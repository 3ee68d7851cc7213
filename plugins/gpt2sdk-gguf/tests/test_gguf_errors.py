"""Files that cannot be read are refused, and the message says why."""

import pytest
from gguf import GGMLQuantizationType as Kind

from gpt2sdk import CheckpointError, Generator
from gpt2sdk_gguf.gguf_format import Gguf


def test_a_file_that_is_cut_short_is_refused(write_file):
    path, _ = write_file(Kind.Q8_0)
    whole = path.read_bytes()
    for length in (0, 3, 20, 400, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"model-Q8_0\.gguf"):
            Gguf().open(path)


def test_another_format_is_named(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"PK\x03\x04" + bytes(100))

    with pytest.raises(CheckpointError, match=r"expected a GGUF file, found .*PK"):
        Gguf().open(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        Gguf().open(tmp_path / "absent.gguf")


def test_another_architecture_is_refused(write_file):
    path, _ = write_file(architecture="llama")

    with pytest.raises(
        CheckpointError, match="is a llama, and the architecture transformers does not say"
    ):
        Generator.from_pretrained(path)


def test_an_unknown_type_of_numbers_is_refused(write_file):
    path, _ = write_file()
    whole = path.read_bytes()
    name = b"blk.0.attn_qkv.weight"
    # Behind a tensor's name: the number of its axes, their lengths, its type.
    at = whole.index(name) + len(name) + 4 + 2 * 8
    path.write_bytes(whole[:at] + (250).to_bytes(4, "little") + whole[at + 4 :])

    with pytest.raises(CheckpointError, match="unknown type 250"):
        Gguf().open(path)


def test_a_type_that_cannot_be_expanded_is_refused(write_file):
    path, _ = write_file()
    whole = path.read_bytes()
    name = b"blk.0.attn_qkv.weight"
    at = whole.index(name) + len(name) + 4 + 2 * 8
    kind = int(Kind.Q8_K)
    path.write_bytes(whole[:at] + kind.to_bytes(4, "little") + whole[at + 4 :])

    with pytest.raises(CheckpointError, match=r"blk\.0\.attn_qkv\.weight is of type Q8_K"):
        Gguf().open(path)


def test_a_file_without_a_tokenizer_is_refused(write_file):
    path, _ = write_file(with_tokenizer=False)

    with pytest.raises(CheckpointError, match="has no tokenizer"):
        Gguf().open(path)


def test_a_tokenizer_of_another_kind_is_refused(write_file):
    def other(writer):
        writer.kv_data[0].pop("tokenizer.ggml.model")
        writer.add_tokenizer_model("llama")

    path, _ = write_file(change=other)

    with pytest.raises(CheckpointError, match="expected a tokenizer of byte pairs"):
        Gguf().open(path)


def test_missing_sizes_are_named(write_file):
    def without(writer):
        writer.kv_data[0].pop("gpt2.attention.head_count")

    path, _ = write_file(change=without)

    with pytest.raises(CheckpointError, match="its settings lack n_head"):
        Generator.from_pretrained(path)
