"""Where parts go, on devices that are not there."""

from dataclasses import replace

import pytest
import torch

from gpt2sdk import Part, PlacementError
from gpt2sdk_accelerate.auto import Auto
from gpt2sdk_accelerate.balanced import Balanced
from gpt2sdk_accelerate.cpu_offload import CpuOffload
from gpt2sdk_accelerate.disk_offload import DiskOffload
from gpt2sdk_accelerate.sequential import Sequential

GB = 1_000_000_000
MB = 1_000_000
ALL = [Auto(), Balanced(), Sequential()]


def where(plan, name):
    place = plan.places[name]
    return str(place.device), place.kept


def blocks(plan, device, kept="device"):
    return [
        int(name.partition(".")[2])
        for name, place in plan.places.items()
        if name.startswith("h.") and (str(place.device), place.kept) == (device, kept)
    ]


@pytest.mark.parametrize("placement", [Auto(), Sequential()])
def test_a_device_that_holds_the_model_holds_all_of_it(placement, gpt2_parts):
    plan = placement.plan(gpt2_parts, {"cuda:0": GB, "cuda:1": GB, "cpu": 4 * GB})

    assert {("cuda:0", "device")} == {where(plan, name) for name in plan.places}
    assert {"cuda:0": sum(part.nbytes for part in gpt2_parts)} == plan.nbytes


@pytest.mark.parametrize("placement", ALL)
def test_without_devices_the_cpu_holds_all_of_it(placement, gpt2_parts):
    plan = placement.plan(gpt2_parts, {"cpu": GB})

    assert {("cpu", "device")} == {where(plan, name) for name in plan.places}


@pytest.mark.parametrize("placement", ALL)
def test_300_megabytes_hold_the_tables_and_let_blocks_pass(placement, gpt2_parts):
    """Table 154.4, positions 3.1, two buffers 56.7, keys and values 75.5: no room for more."""
    plan = placement.plan(gpt2_parts, {"cuda:0": 300 * MB, "cpu": 4 * GB})

    assert ("cuda:0", "device") == where(plan, "wte") == where(plan, "ln_f")
    assert list(range(12)) == blocks(plan, "cuda:0", "cpu")
    assert 300 * MB >= plan.nbytes["cuda:0"] + 12 * 6144 * 1024


def test_the_first_blocks_stay_and_the_others_pass(gpt2_parts):
    plan = Auto().plan(gpt2_parts, {"cuda:0": 400 * MB, "cpu": 4 * GB})

    assert [0, 1, 2] == blocks(plan, "cuda:0")
    assert list(range(3, 12)) == blocks(plan, "cuda:0", "cpu")
    assert "passes through" in plan.places["h.3"].reason


def test_a_table_too_large_for_the_device_stays_on_the_cpu(gpt2_parts):
    plan = Auto().plan(gpt2_parts, {"cuda:0": 200 * MB, "cpu": 4 * GB})

    assert ("cpu", "device") == where(plan, "wte")
    assert ("cuda:0", "device") == where(plan, "ln_f")
    assert [0, 1] == blocks(plan, "cuda:0")
    assert list(range(2, 12)) == blocks(plan, "cuda:0", "cpu")


def test_what_the_memory_cannot_keep_is_on_disk(gpt2_parts):
    plan = Auto().plan(gpt2_parts, {"cuda:0": 300 * MB, "cpu": 200 * MB})

    assert [0, 1, 2] == blocks(plan, "cuda:0", "cpu")
    assert list(range(3, 12)) == blocks(plan, "cuda:0", "disk")
    assert 9 * 28_351_488 == plan.nbytes["disk"]
    # Three blocks and two buffers of pinned memory.
    assert 5 * 2**25 == plan.nbytes["cpu"]


def test_a_device_too_small_for_a_block_is_left_alone(gpt2_parts):
    plan = Auto().plan(gpt2_parts, {"cuda:0": 20 * MB, "cpu": 4 * GB})

    assert {("cpu", "device")} == {where(plan, name) for name in plan.places}


@pytest.mark.parametrize("placement", ALL)
def test_a_small_memory_reads_the_last_blocks_from_disk(placement, gpt2_parts):
    """Tables 157.5, two blocks in memory 56.7, keys and values 75.5: 3 blocks of 28.4 fit in."""
    plan = placement.plan(gpt2_parts, {"cpu": 380 * MB})

    assert [0, 1, 2] == blocks(plan, "cpu")
    assert list(range(3, 12)) == blocks(plan, "cpu", "disk")
    assert ("cpu", "device") == where(plan, "wte")
    assert (157_541_376 + 5 * 28_351_488) == plan.nbytes["cpu"]


def test_the_smallest_memory_reads_tables_from_disk_too(gpt2_parts):
    plan = Auto(cache_tokens=0).plan(gpt2_parts, {"cpu": 190 * MB})

    assert ("cpu", "disk") == where(plan, "wte")
    assert list(range(12)) == blocks(plan, "cpu", "disk")


@pytest.mark.parametrize("placement", ALL)
def test_too_little_memory_is_an_error_that_says_what_would_do(placement, gpt2_parts):
    with pytest.raises(PlacementError, match=r"would hold 258\.2 MB, and may hold 100\.0 MB; quan"):
        placement.plan(gpt2_parts, {"cpu": 100 * MB})


def test_two_devices_get_equal_shares(gpt2_parts):
    plan = Balanced().plan(gpt2_parts, {"cuda:0": GB, "cuda:1": GB, "cpu": 4 * GB})

    assert [0, 1, 2, 3] == blocks(plan, "cuda:0")
    assert list(range(4, 12)) == blocks(plan, "cuda:1")
    assert ("cuda:0", "device") == where(plan, "wte")


def test_two_devices_are_filled_one_after_the_other(gpt2_parts):
    plan = Sequential().plan(gpt2_parts, {"cuda:0": 500 * MB, "cuda:1": GB, "cpu": 4 * GB})

    assert list(range(9)) == blocks(plan, "cuda:0")
    assert list(range(9, 12)) == blocks(plan, "cuda:1")


def test_auto_shares_what_one_device_cannot_hold(gpt2_parts):
    memory = {"cuda:0": 400 * MB, "cuda:1": 400 * MB, "cpu": 4 * GB}

    assert Balanced().plan(gpt2_parts, memory) == Auto().plan(gpt2_parts, memory)


def test_shares_that_do_not_suffice_are_exceeded(gpt2_parts):
    memory = {"cuda:0": 500 * MB, "cuda:1": 120 * MB, "cpu": 4 * GB}
    plan = Balanced().plan(gpt2_parts, memory)

    assert {("cuda:0", "device"), ("cuda:1", "device")} == {
        where(plan, name) for name in plan.places
    }


@pytest.mark.parametrize("placement", [*ALL, CpuOffload(), DiskOffload()])
@pytest.mark.parametrize(
    "memory",
    [
        {"cuda:0": GB, "cpu": 4 * GB},
        {"cuda:0": 120 * MB, "cpu": 900 * MB},
        {"cuda:0": 250 * MB, "cuda:1": 90 * MB, "cpu": 900 * MB},
        {"cpu": 900 * MB},
    ],
)
def test_plans_keep_within_what_devices_may_hold(placement, memory, gpt2_parts):
    before = dict(memory)
    try:
        plan = placement.plan(gpt2_parts, memory)
    except PlacementError:
        assert isinstance(placement, CpuOffload | DiskOffload)
        return

    assert before == memory
    assert [part.name for part in gpt2_parts] == list(plan.places)
    cache = dict.fromkeys(memory, 0)
    for part in gpt2_parts:
        cache[str(plan.places[part.name].device)] += 1024 * part.cache_nbytes
    for device, most in memory.items():
        assert most >= plan.nbytes.get(device, 0) + cache[device]


def test_the_room_for_keys_and_values_is_a_setting(gpt2_parts):
    memory = {"cuda:0": 400 * MB, "cpu": 4 * GB}
    plan = Auto(cache_tokens=4096).plan(gpt2_parts, memory)

    assert len(blocks(plan, "cuda:0")) < len(
        blocks(Auto(cache_tokens=0).plan(gpt2_parts, memory), "cuda:0")
    )
    assert 4096 == plan.reserved_tokens


def test_room_is_kept_for_one_row_of_the_model_by_default(gpt2_parts):
    parts = [replace(part, reserved_tokens=512) for part in gpt2_parts]

    assert 512 == Auto().plan(parts, {"cpu": GB}).reserved_tokens
    assert 7 == Auto(cache_tokens=7).plan(parts, {"cpu": GB}).reserved_tokens


def test_what_loading_needs_is_within_the_budget(gpt2_parts):
    parts = [replace(part, workspace=200 * MB) for part in gpt2_parts]
    plan = Auto().plan(parts, {"cpu": 600 * MB})

    assert 400 * MB >= plan.nbytes["cpu"]
    assert 500 * MB < Auto().plan(parts, {"cpu": 700 * MB}).nbytes["cpu"] + 10 * MB


def test_what_products_of_passing_parts_need_is_within_the_budget(gpt2_parts):
    parts = [replace(part, passing_workspace=100 * MB) for part in gpt2_parts]
    memory = {"cuda:0": 400 * MB, "cpu": 4 * GB}
    plan = Auto().plan(parts, memory)

    assert [0, 1, 2] == blocks(Auto().plan(gpt2_parts, memory), "cuda:0")
    assert 400 * MB >= plan.nbytes["cuda:0"] + 1024 * 12 * 6144 + 100 * MB


def test_quantized_parts_stay_packed_and_pass_stored():
    blocks = [Part(f"h.{layer}", 30, 20) for layer in range(4)]
    parts = [Part("wte", 10, 10), *blocks, Part("ln_f", 1, 1, vectors=True)]
    plan = Auto(cache_tokens=0).plan(parts, {"cuda:0": 112, "cpu": 1000})

    assert ("cuda:0", "device") == where(plan, "h.0") == where(plan, "h.1")
    assert ("cuda:0", "cpu") == where(plan, "h.2") == where(plan, "h.3")
    assert 10 + 2 * 30 + 1 + 2 * 20 == plan.nbytes["cuda:0"]


def test_an_untied_head_is_placed_too(gpt2_parts):
    parts = [*gpt2_parts, Part("lm_head", 154_389_504, 154_389_504)]
    large = Auto().plan(parts, {"cuda:0": 500 * MB, "cpu": 4 * GB})
    small = Auto().plan(parts, {"cuda:0": 400 * MB, "cpu": 4 * GB})

    assert ("cuda:0", "device") == where(large, "wte") == where(large, "lm_head")
    assert ("cpu", "device") == where(small, "wte") == where(small, "lm_head")


def test_cpu_offload_lets_every_block_pass(gpt2_parts):
    plan = CpuOffload().plan(gpt2_parts, {"cuda:0": GB, "cpu": 4 * GB})

    assert list(range(12)) == blocks(plan, "cuda:0", "cpu")
    assert ("cpu", "device") == where(plan, "wte")
    assert 2 * 28_351_488 == plan.nbytes["cuda:0"]


def test_cpu_offload_without_a_device_says_so(gpt2_parts):
    plan = CpuOffload().plan(gpt2_parts, {"cpu": 4 * GB})

    assert {("cpu", "device")} == {where(plan, name) for name in plan.places}
    assert any("no device" in note for note in plan.notes)


def test_disk_offload_holds_two_neighbours(gpt2_parts):
    plan = DiskOffload().plan(gpt2_parts, {"cpu": 4 * GB})

    assert list(range(12)) == blocks(plan, "cpu", "disk")
    assert 154_389_504 + 28_351_488 + 6144 == plan.nbytes["cpu"]
    assert torch.device("cpu") == plan.places["ln_f"].device
