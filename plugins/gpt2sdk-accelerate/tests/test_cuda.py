"""What only a CUDA device can show: blocks pass through it while it computes."""

import pytest
import torch

from gpt2sdk_accelerate.auto import Auto
from gpt2sdk_accelerate.cpu_offload import CpuOffload
from gpt2sdk_accelerate.device_map import DeviceMap
from gpt2sdk_accelerate.disk_offload import DiskOffload

pytestmark = pytest.mark.gpu


def placed(model, placement, parts, memory=None):
    memory = memory or {"cuda:0": 10**9, "cpu": 10**9}
    plan = placement.plan(parts, memory)
    residency = placement.residency(plan, model)
    for part in parts:
        module, place = model.get_submodule(part.name), plan.places[part.name]
        residency.stow(part.name, module.to(place.device) if place.kept == "device" else module)
    model.set_residency(residency)
    return model


@pytest.mark.parametrize(
    "placement",
    [
        Auto(),
        CpuOffload(),
        DiskOffload(),
        DeviceMap(device_map={"": 0, "h.1": "cpu", "h.2": "disk"}),
    ],
    ids=lambda placement: placement.name,
)
@pytest.mark.parametrize("prepared", [False, True])
def test_logits_are_those_of_the_cpu(placement, prepared, build, parts_of, logits):
    expected = logits(build())
    model = build()
    model = placed(model, placement, parts_of(model))
    if prepared:
        model.prepare()

    for _ in range(20):
        assert torch.allclose(expected, logits(model).cpu(), atol=1e-4)
    assert logits(model).device == model.device
    model.residency.close()


def test_copies_do_not_overtake_what_computes(build, parts_of, logits):
    """Large blocks, so that a copy into a buffer that is still read would show."""
    changes = {"n_embd": 1024, "n_layer": 8, "n_head": 16}
    expected = logits(build(**changes))
    model = build(**changes)
    model = placed(model, CpuOffload(), parts_of(model), {"cuda:0": 10**10, "cpu": 10**10})
    model.prepare()

    for _ in range(10):
        assert torch.allclose(expected, logits(model).cpu(), rtol=1e-3, atol=1e-3)
    model.residency.close()


def test_two_slots_are_all_the_device_holds(build, parts_of, logits):
    model = build(n_embd=512, n_layer=12, n_head=8)
    parts = parts_of(model)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model = placed(model, CpuOffload(), parts)
    plan = CpuOffload().plan(parts, {"cuda:0": 10**9, "cpu": 10**9})
    logits(model)

    assert torch.cuda.max_memory_allocated() - before <= plan.nbytes["cuda:0"] + 32 * 2**20
    model.residency.close()
