"""What a saved folder says of its weights."""

import json

import pytest
import torch
from torch import nn
from typing_extensions import override

from gpt2sdk import Architecture
from gpt2sdk.files.model_folder import save_model


class Mixed(Architecture):
    """A table in front, a matrix that quantizers are asked about, and a norm."""

    model_types = ("mixed",)

    @override
    def make_model(self, dtype):
        modules = {"out": nn.Linear(4, 6), "embed": nn.Embedding(6, 4), "norm": nn.LayerNorm(4)}
        return nn.ModuleDict(modules)


class Matrices(Architecture):
    """Nothing but matrices."""

    model_types = ("matrices",)

    @override
    def make_model(self, dtype):
        return nn.ModuleDict(
            {"out": nn.Linear(4, 6, bias=False), "up": nn.Linear(4, 4, bias=False)}
        )


@pytest.mark.parametrize(
    ("architecture", "types", "expected"),
    [
        (Mixed(), {"out.weight": "bfloat16"}, "float32"),
        (Mixed(), {"out.bias": "bfloat16"}, "bfloat16"),
        (Mixed(), {"norm.weight": "float64", "norm.bias": "float64"}, "float32"),
        (Matrices(), {"out.weight": "bfloat16"}, "bfloat16"),
    ],
)
def test_the_type_is_that_of_the_first_parameter_that_is_not_quantized(
    tmp_path, architecture, types, expected
):
    model = architecture.make_model(torch.float32).requires_grad_(requires_grad=False)
    for name, dtype in types.items():
        parameter = model.get_parameter(name)
        parameter.data = parameter.data.to(getattr(torch, dtype))
    save_model(model, architecture, None, tmp_path / "saved")
    written = json.loads((tmp_path / "saved" / "config.json").read_text())

    assert expected == written["dtype"]
