"""Folders are quantized matrix by matrix, as a whole or not at all."""

import errno
import json
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt2sdk import CheckpointError, OptionError
from gpt2sdk.cli.model_card import describe
from gpt2sdk.files import shards
from gpt2sdk.gpt2 import save_pretrained
from gpt2sdk.loading import open_model

TOKENS = torch.tensor([[3, 1, 4, 1, 5]])


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["half", "byte", "texts"])
def test_a_converted_folder_is_what_saving_a_quantized_model_gives(fakes, tiny, tmp_path, name):
    loaded = fakes.load(tiny, quantization=name)
    save_pretrained(
        loaded.model,
        loaded.model.config,
        loaded.tokenizer,
        tmp_path / "saved",
        quantizer=loaded.quantizer,
    )
    plan = fakes.convert(tiny, tmp_path / "converted", name)
    saved, converted = (
        load_file(tmp_path / each / "model.safetensors") for each in ("saved", "converted")
    )
    others = [files(tmp_path / each) for each in ("saved", "converted")]
    for each in others:
        each.pop("model.safetensors")

    assert saved.keys() == converted.keys()
    assert all(torch.equal(value, converted[key]) for key, value in saved.items())
    assert others[0] == others[1]
    assert "tokenizer.json" in others[1]
    assert loaded.plan.nbytes == plan.nbytes
    again = fakes.load(tmp_path / "converted")
    assert torch.equal(loaded.model(TOKENS).logits, again.model(TOKENS).logits)


def test_what_is_not_quantized_stays_as_it_is(fakes, tiny, tmp_path):
    fakes.convert(tiny, tmp_path / "new", fakes.Byte(skip=("c_proj.weight",)))
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny, tmp_path / "new"))

    for key in ("transformer.wpe.weight", "transformer.h.0.mlp.c_proj.weight"):
        assert torch.equal(before[key], after[key])


def test_what_is_not_quantized_keeps_its_type_in_the_file(fakes, tiny, tmp_path):
    """A bfloat16 file whose config says float32 computes in float32, before and after."""
    source = tmp_path / "source"
    shutil.copytree(tiny, source)
    tensors = load_file(source / "model.safetensors")
    tensors = {key: value.bfloat16() for key, value in tensors.items()}
    save_file(tensors, source / "model.safetensors", {"format": "pt"})
    fakes.convert(source, tmp_path / "new", "byte")
    after = load_file(tmp_path / "new" / "model.safetensors")

    for key in ("transformer.wpe.weight", "transformer.h.0.attn.c_attn.bias"):
        assert torch.equal(tensors[key], after[key])
    assert "float32" == json.loads((tmp_path / "new" / "config.json").read_text())["dtype"]
    expected = fakes.load(source, quantization="byte").model(TOKENS).logits
    again = fakes.load(tmp_path / "new").model
    assert torch.float32 == again.wpe.weight.dtype
    assert torch.equal(expected, again(TOKENS).logits)
    opened = open_model(tmp_path / "new", registry=fakes.registry)
    assert "byte and bfloat16" == describe(opened).stored_as
    assert "bfloat16" == describe(open_model(source, registry=fakes.registry)).stored_as


def test_the_rest_may_be_made_shorter(fakes, tiny, tmp_path):
    fakes.convert(tiny, tmp_path / "new", "byte", dtype="bfloat16")
    tensors = load_file(tmp_path / "new" / "model.safetensors")

    assert torch.bfloat16 == tensors["transformer.wpe.weight"].dtype
    assert torch.bfloat16 == fakes.load(tmp_path / "new").plan.dtype


@pytest.mark.parametrize("name", ["byte", "texts"])
def test_shards_keep_a_matrix_together(fakes, tiny, tmp_path, name):
    fakes.convert(tiny, tmp_path / "new", name, max_shard_size=20_000)
    folder = tmp_path / "new"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shards_of = index["weight_map"]

    assert len(set(shards_of.values())) > 2
    for key in ("transformer.wte.weight", "transformer.h.1.mlp.c_fc.weight"):
        belonging = {shard for other, shard in shards_of.items() if other.startswith(key)}
        assert 1 == len(belonging)
    held = [
        each for shard in set(shards_of.values()) for each in load_file(folder / shard).values()
    ]
    assert sum(each.nbytes for each in held) == index["metadata"]["total_size"]
    assert fakes.load(folder)


def test_progress_is_told_in_bytes(fakes, tiny, tmp_path):
    told = []
    fakes.convert(tiny, tmp_path / "new", "byte", watch=told.append)

    assert sum(told) == fakes.plan(tmp_path / "new").file_nbytes


def test_a_quantized_model_is_not_quantized_again(fakes, tiny, tmp_path):
    fakes.convert(tiny, tmp_path / "new", "byte")

    with pytest.raises(OptionError, match="is quantized already, as Byte"):
        fakes.convert(tmp_path / "new", tmp_path / "newer", "half")


def test_the_model_itself_is_not_replaced(fakes, tiny):
    before = files(tiny)

    with pytest.raises(OptionError, match="expected another one, since quantizing cannot be"):
        fakes.convert(tiny, tiny, "byte")
    assert before == files(tiny)


def test_a_quantizer_that_breaks_its_plan_leaves_nothing(fakes, tiny, tmp_path):
    class Other(fakes.Byte):
        def plan(self, matrix, device):
            return fakes.Half().plan(matrix, device)

    with pytest.raises(CheckpointError, match="does not keep to its plan"):
        fakes.convert(tiny, tmp_path / "new", Other())
    assert [] == list(tmp_path.iterdir())


def test_a_disk_that_fills_up_leaves_the_old_folder(fakes, tiny, tmp_path, monkeypatch):
    fakes.convert(tiny, tmp_path / "new", "half")
    before = files(tmp_path / "new")
    real = shards._write_tensor  # noqa: SLF001 - where the bytes go
    left = [20]

    def fills_up(opened, tensor):
        real(opened, tensor)
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards, "_write_tensor", fills_up)
    with pytest.raises(CheckpointError, match="No space left on device"):
        fakes.convert(tiny, tmp_path / "new", "byte")

    assert ["new"] == [path.name for path in tmp_path.iterdir()]
    assert before == files(tmp_path / "new")


SLOW = """
import sys, time
from gpt2sdk.files import shards
from gpt2sdk.gpt2.checkpoint import open_checkpoint
from gpt2sdk.gpt2.export import save_pretrained
from gpt2sdk.gpt2 import load_model
import torch

real = shards._write_tensor
def slow(opened, tensor):
    real(opened, tensor)
    opened.flush()
    print("writing", flush=True)
    time.sleep(0.2)
shards._write_tensor = slow
checkpoint = open_checkpoint(sys.argv[1])
model = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
save_pretrained(model, checkpoint.architecture.config, None, sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and file locks")
def test_a_killed_writer_leaves_nothing_that_loads_and_is_cleaned_up_after(fakes, tiny, tmp_path):
    target = tmp_path / "new"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", SLOW, str(tiny), str(target)], stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert b"writing\n" == writer.stdout.readline()
    writers[0].send_signal(signal.SIGKILL)
    writers[0].communicate()
    left = set(tmp_path.iterdir())
    assert 2 == len(left)
    assert all(path.name.startswith(".new.") for path in left)
    with pytest.raises(CheckpointError):
        fakes.load(target)

    fakes.convert(tiny, target, "byte")
    found = set(tmp_path.iterdir())
    # What the living writer writes is still there, what the killed one wrote is not.
    assert 1 == len(found & left)
    assert {target} == found - left
    assert fakes.load(target)
    writers[1].kill()
    writers[1].communicate()
    fakes.convert(tiny, target, "half")
    assert {target} == set(tmp_path.iterdir())


def test_what_other_programs_read_is_kept(fakes, tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "old")
    names = ("chat_template.jinja", "additional_chat_templates/tool.jinja")
    (tmp_path / "old" / "additional_chat_templates").mkdir()
    for name in names:
        (tmp_path / "old" / name).write_text(name, encoding="utf-8")
    written = tmp_path / "old" / "generation_config.json"
    generation = json.loads(written.read_text("utf-8")) | {"temperature": 0.7, "max_length": 99}
    written.write_text(json.dumps(generation), encoding="utf-8")
    fakes.convert(tmp_path / "old", tmp_path / "new", "byte")

    assert list(names) == [(tmp_path / "new" / name).read_text("utf-8") for name in names]
    assert generation == json.loads((tmp_path / "new" / written.name).read_text("utf-8"))
