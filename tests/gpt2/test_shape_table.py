"""The table of shapes has a row per module, and its parameters add up."""

import pytest
import torch

from gpt2sdk.components.shape_table import ShapeRow, describe_shapes
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.architecture import GPT2Architecture
from gpt2sdk.gpt2.model import GPT2

CONFIG = GPT2Config(vocab_size=300, n_positions=6, n_embd=240, n_layer=1, n_head=4)


def followed(model, time=6):
    architecture = GPT2Architecture(config=model.config)
    return describe_shapes(model, lambda: architecture.pass_through(model, time))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("prepared", [False, True])
def test_rows_say_what_goes_in_and_comes_out(device, prepared):
    with torch.device(device):
        model = GPT2(CONFIG)
    if prepared:
        model.prepare()

    rows = {row.name: row for row in followed(model)}

    matrix = ShapeRow("h.0.mlp.c_fc", "Linear", (1, 6, 240), (1, 6, 960), 240 * 960 + 960)
    assert matrix == rows["h.0.mlp.c_fc"]
    assert ShapeRow("lm_head", "TiedHead", (1, 6, 240), (1, 6, 300), 0) == rows["lm_head"]
    assert (1, 6) == rows["wte"].inputs
    assert sum(row.parameters for row in rows.values()) == sum(
        parameter.numel() for parameter in GPT2(CONFIG).parameters()
    )


def test_a_look_does_not_unpack():
    model = GPT2(CONFIG)
    model.prepare()

    followed(model, time=2)

    assert model.h[0].mlp.c_fc.packed is not None
