"""Loading takes what the model takes, and a few MiB besides."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gpt2sdk import GPT2Config
from gpt2sdk.gpt2.layout import MATRICES, parameter_shapes
from gpt2sdk.testing import tiny_tokenizer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc"),
]
MIB = 2**20
CONFIG = GPT2Config(
    vocab_size=30_000, n_embd=512, n_head=8, n_layer=6, bos_token_id=0, eos_token_id=0
)
MEASURE = """
import sys, threading, torch
from contextlib import nullcontext
from pathlib import Path
from gpt2sdk.allocator import tight_memory
from gpt2sdk.loading import LoadSettings, open_model, plan_load, quantize_checkpoint
from gpt2sdk.loading import assembly
from gpt2sdk.plugins.registry import Registry

torch.set_num_threads(1)

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024

folder, dtype, quantization, how = sys.argv[1:5]
settings = LoadSettings(dtype, "cpu", None if quantization == "none" else quantization)
plan = plan_load(folder, settings)
opened = open_model(folder, registry=Registry())
opened.tokenizer()
# What torch needs for its first product is not the model's.
(torch.ones(8, 512, dtype=plan.dtype) @ torch.ones(512, 512, dtype=plan.dtype))
before, peaks, running = anonymous(), [0], True

def sample():
    while running:
        peaks[-1] = max(peaks[-1], anonymous() - before)

thread = threading.Thread(target=sample)
thread.start()
if how == "convert":
    quantize_checkpoint(folder, sys.argv[5], quantization)
elif how == "carelessly":
    whole = opened.checkpoint
    kept = {name: whole.read(name, device=torch.device("cpu"), dtype=torch.float32)
            for name in whole.shapes}
    model = assembly.build(whole, plan)
else:
    with tight_memory():
        model = assembly.build(opened.checkpoint, plan)
        loaded = max(peaks[0], anonymous() - before)
        peaks.append(0)
        model.prepare()
running = False
thread.join()
held = sum(part.stored_nbytes for part in plan.parts)
peaks[-1] = max(peaks[-1], anonymous() - before)
workspace = max(each.workspace for each in plan.parts)
print(held, plan.nbytes, workspace, *([loaded] if peaks[:-1] else []), peaks[-1])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of 140 MB."""
    path = tmp_path_factory.mktemp("model")
    state = {
        f"transformer.{name}": torch.full(shape[::-1] if name.endswith(MATRICES) else shape, 0.01)
        for name, shape in parameter_shapes(CONFIG).items()
    }
    save_file(state, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    tiny_tokenizer().save(path)
    return path


def measure(folder, dtype, quantization, *how):
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), dtype, quantization, *how],
        check=True,
        capture_output=True,
        text=True,
    )
    return map(int, run.stdout.split())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_plain_model_takes_what_was_planned(folder, dtype):
    held, final, workspace, loading, packing = measure(folder, dtype, "none", "load")

    assert held - 4 * MIB < loading <= held + 32 * MIB
    assert packing <= final + workspace + 32 * MIB


def test_a_quantized_model_takes_what_was_planned(folder, tmp_path):
    pytest.importorskip("gpt2sdk_quantization")
    held, final, _, loading, packing = measure(folder, "float32", "int8", "load")

    assert held - 4 * MIB < loading <= held + 32 * MIB
    assert packing <= final + 32 * MIB


def test_converting_takes_a_matrix_and_a_few_slabs(folder, tmp_path):
    pytest.importorskip("gpt2sdk_quantization")
    *_, converting = measure(folder, "float32", "int8", "convert", str(tmp_path / "new"))
    largest = 30_000 * 512

    assert converting <= largest + 32 * MIB
    held, final, _, loading, packing = measure(tmp_path / "new", "auto", "none", "load")
    assert loading <= held + 32 * MIB
    assert packing <= final + 32 * MIB


def test_the_measure_sees_a_second_copy(folder):
    pytest.importorskip("gpt2sdk_quantization")
    held, *_, loading = measure(folder, "float32", "int8", "carelessly")

    assert loading > held + 32 * MIB
