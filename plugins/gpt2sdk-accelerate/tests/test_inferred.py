"""The map that accelerate infers, over parts that have sizes only."""

import pytest
from accelerate import infer_auto_device_map
from transformers import GPT2Config as PeerConfig
from transformers import GPT2LMHeadModel

from gpt2sdk import Part, PlacementError
from gpt2sdk_accelerate.inferred import Inferred, infer

MB = 10**6


def parts(table=150, block=28, count=12):
    blocks = [Part(f"h.{layer}", block * MB, block * MB) for layer in range(count)]
    return [
        Part("wte", table * MB, table * MB),
        Part("wpe", 3 * MB, 3 * MB),
        *blocks,
        Part("ln_f", 1, 1, vectors=True),
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_map_is_what_accelerate_gives_for_the_model_itself():
    import torch

    with torch.device("meta"):
        peer = GPT2LMHeadModel(PeerConfig(n_layer=4)).transformer
    own = [
        Part(name, *[sum(each.nbytes for each in module.parameters())] * 2)
        for name, module in [
            ("wte", peer.wte),
            ("wpe", peer.wpe),
            *((f"h.{layer}", block) for layer, block in enumerate(peer.h)),
            ("ln_f", peer.ln_f),
        ]
    ]
    room = {0: 280 * MB, "cpu": 10**9}
    expected = infer_auto_device_map(peer, dict(room), no_split_module_classes=["GPT2Block"])
    expected.pop("drop", None)

    found = dict(infer(own, {"cuda:0": 280 * MB, "cpu": 10**9}, balanced=False))

    assert expected == found


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_does_not_fit_on_the_device_passes_through_it():
    plan = Inferred(cache_tokens=0, balanced=False).plan(
        parts(), {"cuda:0": 420 * MB, "cpu": 10**9}
    )

    assert "device" == plan.places["h.0"].kept
    assert ("cuda:0", "cpu") == (str(plan.places["h.11"].device), plan.places["h.11"].kept)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_two_devices_get_like_shares():
    plan = Inferred(cache_tokens=0).plan(parts(), {"cuda:0": 10**9, "cuda:1": 10**9, "cpu": 10**9})

    assert {"cuda:0", "cuda:1"} == {str(place.device) for place in plan.places.values()}


def test_a_device_without_a_number_is_refused():
    with pytest.raises(PlacementError, match="numbered devices, mps has no number"):
        Inferred().plan(parts(), {"mps": 10**9, "cpu": 10**9})
