"""Maps in accelerate's form."""

import pytest
import torch
from accelerate import infer_auto_device_map
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2sdk import PlacementError
from gpt2sdk.loading import LoadSettings, plan_load
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_accelerate.device_map import DeviceMap

GB = 1_000_000_000
MEMORY = {"cuda:0": GB, "cuda:1": GB, "cpu": 4 * GB}


def places(mapping, parts, memory=MEMORY):
    plan = DeviceMap(device_map=mapping).plan(parts, memory)
    return {name: f"{place.device} {place.kept}" for name, place in plan.places.items()}


def test_a_map_says_where_parts_go(gpt2_parts):
    mapping = {"transformer.wte": 0, "transformer.h.0": "cpu", "h.3": "disk", "": "cuda:1"}
    found = places(mapping, gpt2_parts)

    assert "cuda:0 device" == found["wte"]
    assert "cuda:1 device" == found["wpe"] == found["h.1"] == found["ln_f"]
    assert "cuda:0 cpu" == found["h.0"]
    # By the device of the block before it.
    assert "cuda:1 disk" == found["h.3"]


def test_the_maps_that_accelerate_makes_are_understood(gpt2_parts):
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    model.tie_weights()
    mapping = infer_auto_device_map(
        model,
        max_memory={0: 400_000_000, 1: 300_000_000, "cpu": 4 * GB},
        no_split_module_classes=["GPT2Block"],
    )
    found = places(mapping, gpt2_parts)

    assert {0, 1} == set(mapping.values())
    assert {f"cuda:{mapping[f'transformer.{name}']} device" for name in found} == {*found.values()}


def test_all_blocks_have_one_name(gpt2_parts):
    found = places({"transformer": "cpu", "h": 1, "h.2": 0}, gpt2_parts)

    assert "cpu device" == found["wte"] == found["ln_f"]
    assert "cuda:1 device" == found["h.1"] == found["h.3"]
    assert "cuda:0 device" == found["h.2"]


def test_without_a_device_in_it_the_cpu_computes(gpt2_parts):
    found = places({"": "cpu", "h.11": "disk"}, gpt2_parts)

    assert "cpu device" == found["h.0"]
    assert "cpu disk" == found["h.11"]


def test_a_tied_head_may_be_named_where_its_table_is(gpt2_parts):
    assert "cuda:0 device" == places({"": 0, "lm_head": 0}, gpt2_parts)["wte"]
    with pytest.raises(PlacementError, match="one matrix"):
        places({"": 0, "lm_head": "cpu"}, gpt2_parts)


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ({"h.0.attn": 0, "": "cpu"}, "h.0.attn is a piece of h.0, which is placed as a whole"),
        ({"wte.weight": 0, "": "cpu"}, "wte.weight is a piece of wte"),
        ({"h.12": 0, "": "cpu"}, "h.12 is not a part of this model; did you mean"),
        ({"encoder": 0, "": "cpu"}, "encoder is not a part of this model"),
        ({"wte": 0, "h": 0}, "says nothing of wpe, ln_f"),
        ({"": 2}, "there is no device 2; there are cuda:0, cuda:1, cpu and disk"),
        ({"": "cuda:7"}, "there is no device 'cuda:7'"),
        ({"": "gpu"}, "there is no device 'gpu'"),
    ],
)
def test_mistakes_are_named(mapping, problem, gpt2_parts):
    with pytest.raises(PlacementError, match=problem):
        places(mapping, gpt2_parts)


def test_a_map_that_does_not_fit_is_an_error(gpt2_parts):
    with pytest.raises(PlacementError, match=r"cuda:0 would hold 573\.3 MB, and may hold 100\.0"):
        places({"": 0}, gpt2_parts, {"cuda:0": 100_000_000, "cpu": GB})


@pytest.mark.parametrize("quantization", [None, "auto"])
@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({"placement": {"h.0.attn": "cpu"}}, "write h.0"),
        ({"placement": {"wte": "cpu"}}, 'give a device for the rest: {"": "cpu"}'),
        ({"placement": {"": "cuda:7"}}, "there are cpu and disk"),
    ],
)
def test_a_map_that_makes_no_sense_is_not_taken_for_a_lack_of_memory(
    tmp_path, quantization, options, end
):
    save_tiny_model(tmp_path)
    settings = LoadSettings(device="cpu", quantization=quantization, **options)
    with pytest.raises(PlacementError) as caught:
        plan_load(tmp_path, settings)

    assert str(caught.value).endswith(end)
