"""What a process holds while it runs a model from the disk."""

import subprocess
import sys

import pytest

# 30 MB of blocks in each of 4 pairs, a table of 12 MB, in float32.
PROGRAM = """
import sys, threading, time
import torch
from gpt2sdk import GPT2Config, Part
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_accelerate.auto import Auto
from gpt2sdk_accelerate.disk_offload import DiskOffload

torch.set_num_threads(1)
MB = 1_000_000

def held():
    status = dict(
        line.split(":", 1) for line in open("/proc/self/status") if line.startswith("Rss")
    )
    return sum(int(status[kind].split()[0]) * 1024 for kind in ("RssAnon", "RssFile", "RssShmem"))

def score(model, times=3):
    cache = model.make_cache(1)
    for step in range(times):
        model.score(cache, [[1, 2, 3]], [1])

# Everything that is not weights is loaded and has run.
score(GPT2(GPT2Config(vocab_size=70, n_positions=64, n_embd=64, n_layer=2, n_head=4)).eval())
config = GPT2Config(vocab_size=5000, n_positions=64, n_embd=640, n_layer=8, n_head=10)
with torch.device("meta"):
    model = GPT2(config).eval()
names = ["wte", "wpe", *(f"h.{layer}" for layer in range(8)), "ln_f"]
sizes = {n: sum(t.nbytes for t in model.get_submodule(n).parameters()) for n in names}
parts = [Part(n, size, size, 0) for n, size in sizes.items()]
placement, memory = eval(sys.argv[1])
plan = placement.plan(parts, memory)
residency = placement.residency(plan, model)
before = held()
for part in parts:
    module = model.get_submodule(part.name)
    for owner in module.modules():
        for name, value in list(owner._parameters.items()):
            drawn = torch.empty(value.shape).normal_(std=0.02)
            setattr(owner, name, torch.nn.Parameter(drawn))
    del value, drawn
    residency.stow(part.name, module)
model.set_residency(residency)
most, running = 0, True
def watch():
    global most
    while running:
        most = max(most, held())
        time.sleep(0.0005)
thread = threading.Thread(target=watch)
thread.start()
score(model, 5)
model.prepare()
score(model, 5)
running = False
thread.join()
print(sum(sizes.values()), plan.nbytes["cpu"], most - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "placement",
    ["(DiskOffload(), {'cpu': 10**9})", "(Auto(cache_tokens=0), {'cpu': 90 * MB})"],
    ids=["all", "some"],
)
def test_a_process_holds_what_the_plan_says(placement):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, placement], capture_output=True, text=True, check=True
    )
    total, planned, held = map(int, done.stdout.split())

    assert total > 2 * planned
    assert held <= planned + 32 * 2**20
