"""Weight files of every format are opened by their content, damaged ones are one clear error."""

import json
import os
from functools import partial

import pytest
import torch
from safetensors.torch import save_file

from gpt2sdk.errors import CheckpointError
from gpt2sdk.files.tensors import open_tensors

STATE = {
    "wte.weight": torch.arange(15.0).view(5, 3),
    "wpe.weight": torch.arange(6.0).view(2, 3),
    "ln_f.bias": torch.arange(3.0),
}


def assert_same(source):
    assert set(STATE) == set(source.infos)
    for name, value in STATE.items():
        assert torch.equal(value, source.read(name)), name


def write_shards(folder):
    """A file for each tensor, and their index."""
    weight_map = {}
    for number, (name, value) in enumerate(STATE.items(), start=1):
        weight_map[name] = f"model-{number:05}-of-00003.safetensors"
        save_file({name: value}, folder / weight_map[name])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def cut(file):
    os.truncate(file, file.stat().st_size - 10)


def lengthened(file):
    with file.open("ab") as opened:
        opened.write(b"more")


def replaced(data):
    return lambda file: file.write_bytes(data)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("model.safetensors", cut, "it is damaged or cut short, download it again"),
        ("model.safetensors", lengthened, "it is damaged or cut short"),
        ("model.safetensors", replaced(b""), "it is empty: download it again"),
        ("model.safetensors", replaced(POINTER), "it is a Git LFS pointer, not the file: run"),
        ("model.safetensors", replaced(b"<html>" * 9), "it holds a web page or other text"),
        ("model.safetensors", replaced(b"Entry not found"), "it holds a web page or other text"),
        ("pytorch_model.bin", cut, "it is damaged or cut short"),
        ("pytorch_model.bin", replaced(b""), "it is empty: download it again"),
        ("pytorch_model.bin", replaced(POINTER), "it is a Git LFS pointer"),
        ("pytorch_model.bin", replaced(b"<!DOCTYPE html>" * 9), "it holds a web page or other"),
        ("pytorch_model.bin", replaced(b'{"error": "no"}'), "it holds a web page or other text"),
        ("pytorch_model.bin", replaced(b"junk" * 99), "it holds a web page or other text"),
        ("pytorch_model.bin", replaced(b"\x80junk" * 99), "it is damaged or "),
        ("pytorch_model.bin", replaced(b"\xffjunk" * 99), "it is damaged or "),
    ],
)
def test_a_damaged_file_is_one_line_with_its_path(tmp_path, name, damage, message):
    save = save_file if name.endswith("safetensors") else torch.save
    save(STATE, tmp_path / name)
    open_tensors(tmp_path)
    damage(tmp_path / name)

    with pytest.raises(CheckpointError, match=message) as error:
        open_tensors(tmp_path)

    assert str(error.value).startswith(f"{tmp_path / name}: cannot be read: ")
    assert "\n" not in str(error.value)


def test_a_file_that_vanishes_while_it_is_read_is_an_error(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    source = open_tensors(tmp_path)
    (tmp_path / "model.safetensors").unlink()

    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        next(source.slabs("wte.weight"))


class Harmful:
    """What a pickle may do: call a function when it is loaded."""

    def __reduce__(self):
        return (os.mkdir, ("made-by-a-checkpoint",))


@pytest.mark.parametrize("new", [True, False])
def test_no_code_of_a_file_is_run(tmp_path, monkeypatch, new):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Harmful()}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=new)

    with pytest.raises(
        CheckpointError, match=r"objects other than tensors \(posix.mkdir\), and code"
    ):
        open_tensors(tmp_path)

    assert not (tmp_path / "made-by-a-checkpoint").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "expected named tensors, found a list"),
        ({"epoch": 3, "a": torch.ones(1)}, "expected tensors only, found other values under epoch"),
        ({"a": torch.ones(1), "b": torch.ones(1).to_sparse()}, "found other values under b"),
        ({"a": torch.ones(1), "b": torch.ones(1, device="meta")}, "found other values under b"),
        ({"model": {"a": {"b": torch.ones(1)}}}, "found other values under a"),
        ({"state_dict": None}, "found other values under state_dict"),
    ],
)
def test_files_of_other_things_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match=message):
        open_tensors(tmp_path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_named(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "pytorch_model.bin")

    with pytest.raises(
        CheckpointError, match="it is a TorchScript archive, which is code"
    ) as error:
        open_tensors(tmp_path)
    assert "weights_only" not in str(error.value)


def test_an_absent_shard_is_named(tmp_path):
    write_shards(tmp_path)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()

    with pytest.raises(CheckpointError, match=r"absent, download them again: model-00002-of-00003"):
        open_tensors(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, "expected a weight_map"),
        ({"weight_map": {"a": "../other/model.safetensors"}}, "expected shards beside the index"),
        ({"weight_map": {"a": "/etc/passwd"}}, "expected shards beside the index"),
    ],
)
def test_an_index_that_makes_no_sense_is_refused(tmp_path, index, message):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(CheckpointError, match=message):
        open_tensors(tmp_path)


@pytest.mark.parametrize(
    ("save", "suffix"),
    [(save_file, "safetensors"), (torch.save, "bin")],
    ids=["safetensors", "bin"],
)
def test_of_a_tensor_in_two_shards_the_index_chooses_one(tmp_path, save, suffix):
    for number in (1, 2):
        save({"a": torch.full((1,), float(number))}, tmp_path / f"model-{number}.{suffix}")
    index = tmp_path / "model.safetensors.index.json"
    for number in (1, 2):
        weight_map = {"a": f"model-{number}.{suffix}", "b": f"model-{3 - number}.{suffix}"}
        index.write_text(json.dumps({"weight_map": weight_map}))

        assert number == float(open_tensors(tmp_path).read("a"))
    index.write_text(
        json.dumps({"weight_map": {"b": f"model-1.{suffix}", "c": f"model-2.{suffix}"}})
    )
    with pytest.raises(CheckpointError, match=rf"model-2.{suffix}: a is also in model-1.* neither"):
        open_tensors(tmp_path)


def test_shards_are_of_one_format(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "one.safetensors")
    torch.save({"b": torch.ones(1)}, tmp_path / "two.bin")
    weight_map = {"a": "one.safetensors", "b": "two.bin"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    with pytest.raises(CheckpointError, match="expected shards of one format, found several"):
        open_tensors(tmp_path)


def test_a_folder_without_weights_says_what_was_looked_for(tmp_path):
    with pytest.raises(CheckpointError, match=r"expected weights \(model.safetensors or .*none$"):
        open_tensors(tmp_path)
    torch.save({"step": 3}, tmp_path / "optimizer.pt")
    with pytest.raises(CheckpointError, match=r"found none$"):
        open_tensors(tmp_path)
    (tmp_path / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(CheckpointError, match=r"found tf_model.h5 \(TensorFlow\), which has to be"):
        open_tensors(tmp_path)
    with pytest.raises(CheckpointError, match=r"expected safetensors or a torch file, found Tens"):
        open_tensors(tmp_path / "tf_model.h5")
    with pytest.raises(CheckpointError, match=r"none.bin: no such file"):
        open_tensors(tmp_path / "none.bin")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("last.ckpt", r"found last.ckpt: if that holds them, name it: \S+/last.ckpt$"),
        ("model-00001-of-00002.safetensors", r"found model-00001-of-00002.safetensors without "),
        ("pytorch_model-00001-of-00002.bin", "without pytorch_model.bin.index.json: download "),
    ],
)
def test_weights_under_other_names_are_pointed_at(tmp_path, name, hint):
    (tmp_path / "old.h5").write_bytes(b"\x89HDF" * 999)
    save = save_file if name.endswith("safetensors") else torch.save
    save(STATE, tmp_path / name)

    with pytest.raises(CheckpointError, match=hint):
        open_tensors(tmp_path)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("last.ckpt", torch.save),
        ("old.ckpt", partial(torch.save, _use_new_zipfile_serialization=False)),
        ("renamed.ckpt", save_file),
        ("pytorch_model.bin", save_file),
        ("model.safetensors", torch.save),
    ],
)
def test_the_content_of_a_file_says_its_format(tmp_path, name, save):
    save(STATE, tmp_path / name)

    assert_same(open_tensors(tmp_path / name))


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x89HDF\r\n", "TensorFlow"),
        (b"\x00\x01\x02\xfftable", "TensorFlow"),
        (b"GGUF\x03\0\0\0{", "GGUF"),
    ],
)
def test_other_formats_are_told_by_content(tmp_path, start, kind):
    (tmp_path / "model.ckpt").write_bytes(start * 9)

    with pytest.raises(CheckpointError, match=f"found {kind}, which has to be converted"):
        open_tensors(tmp_path / "model.ckpt")


@pytest.mark.parametrize("text", [b"", POINTER, b"<html>" * 9], ids=["empty", "pointer", "page"])
@pytest.mark.parametrize("name", ["weights.h5", "last.ckpt"])
def test_a_failed_download_is_said_before_its_format(tmp_path, text, name):
    (tmp_path / name).write_bytes(text)

    with pytest.raises(CheckpointError, match=r"cannot be read: it (is|holds) .*download it again"):
        open_tensors(tmp_path / name)
