"""Runs in processes of their own: two that train together, and one that is killed."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from gpt2sdk import Generator
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk_train import train
from gpt2sdk_train.adapter_files import WEIGHTS

pytestmark = pytest.mark.slow

# Trains the model of a folder with the settings and texts of a file.
PROGRAM = """
import json, os, signal, sys
import torch
from gpt2sdk import Generator
from gpt2sdk_train import Adapters, LoRA, Stepped, TrainingSettings, train

torch.set_num_threads(1)
order = json.load(open(sys.argv[1]))
loaded = Generator.from_pretrained(order["model"], dtype="float32")
if order["lora"]:
    Adapters(loaded.model).add("tone", LoRA(**order["lora"]))

def die(event):
    def half(_objects, file):
        file.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    if isinstance(event, Stepped) and event.step == order["die_at"]:
        torch.save = half

train(
    loaded.model,
    loaded.tokenizer,
    order["documents"],
    TrainingSettings(**order["settings"]),
    output=order["output"],
    validation=order["documents"][:3],
    observers=[die],
    resume=True,
)
"""


@pytest.fixture
def still(config, tokenizer, tmp_path):
    """Save a model without dropout, and return its folder."""
    model = GPT2(
        config.model_copy(update={"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0})
    )
    save_pretrained(model, model.config, tokenizer, tmp_path / "still")
    return tmp_path / "still"


@pytest.fixture
def run(still, documents, settings, tmp_path):
    """Return a function that trains in other processes."""

    def run(output, *launcher, die_at=0, lora=None):
        order = {
            "lora": lora,
            "model": str(still),
            "documents": documents,
            "settings": settings.model_dump(exclude_none=True),
            "output": str(tmp_path / output),
            "die_at": die_at,
        }
        (tmp_path / "order.json").write_text(json.dumps(order))
        (tmp_path / "program.py").write_text(PROGRAM)
        return subprocess.run(
            [sys.executable, *launcher, tmp_path / "program.py", tmp_path / "order.json"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def read_log(folder, kind):
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


def weights(folder):
    model = Generator.from_pretrained(folder).model
    return torch.cat([each.flatten() for each in model.state_dict().values()])


def test_two_processes_make_the_steps_of_one(run, documents, tokenizer, still, settings, tmp_path):
    done = run("two", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    assert 0 == done.returncode, done.stderr
    model = Generator.from_pretrained(still).model
    train(model, tokenizer, documents, settings, output=tmp_path / "one", validation=documents[:3])

    assert [2] == [line["processes"] for line in read_log(tmp_path / "two", "started")]
    for kind in ("stepped", "validated"):
        one, two = (read_log(tmp_path / name, kind) for name in ("one", "two"))
        assert [line["step"] for line in one] == [line["step"] for line in two]
        expected = [line["loss"] for line in one]
        assert expected == pytest.approx([line["loss"] for line in two], abs=1e-5)
    assert torch.allclose(weights(tmp_path / "one/best"), weights(tmp_path / "two/best"), atol=1e-5)


def test_two_processes_train_an_adapter_as_one_does(run, still, tmp_path):
    lora = {"rank": 2, "targets": ["*.attn.c_attn", "h.1.mlp.*"]}
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    for name, words in (("one", ()), ("two", launcher)):
        done = run(name, *words, lora=lora)
        assert 0 == done.returncode, done.stderr

    one, two = (load_file(tmp_path / name / "best" / WEIGHTS) for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[key], two[key], atol=1e-5) for key in one)
    assert any(one[key].abs().max() > 1e-3 for key in one if "lora_B" in key)


def test_killed_while_saving_a_run_loses_the_steps_since_its_checkpoint(run, tmp_path):
    killed = run("killed", die_at=7)
    assert -signal.SIGKILL == killed.returncode, killed.stderr
    folders = {path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()}
    assert {"step-00000004", ".step-00000008.new"} == folders

    again = run("killed")
    assert 0 == again.returncode, again.stderr
    whole = run("whole")
    assert 0 == whole.returncode, whole.stderr

    assert torch.equal(weights(tmp_path / "whole/best"), weights(tmp_path / "killed/best"))
    steps = [line["step"] for line in read_log(tmp_path / "killed", "stepped")]
    assert list(range(1, 13)) == steps
    assert [0, 4] == [line["step"] for line in read_log(tmp_path / "killed", "started")]
