"""Activations: values to check by hand, and names."""

import math
from typing import get_args

import pytest
import torch

from gpt2sdk.config import Activation as Activations
from gpt2sdk.errors import OptionError
from gpt2sdk.gpt2.activations import ACTIVATIONS, Activation

AT_ONE = {
    "gelu": 0.5 * (1 + math.erf(1 / math.sqrt(2))),
    "gelu_10": 0.8413447,
    "gelu_accurate": 0.8411920,
    "gelu_fast": 0.8411920,
    "gelu_new": 0.8411920,
    "gelu_python": 0.8413447,
    "gelu_python_tanh": 0.8411920,
    "gelu_pytorch_tanh": 0.8411920,
    "hardswish": 4 / 6,
    "laplace": 0.5 * (1 + math.erf((1 - 0.707107) / (0.282095 * math.sqrt(2)))),
    "leaky_relu": 1.0,
    "linear": 1.0,
    "mish": math.tanh(math.log(1 + math.e)),
    "quick_gelu": 1 / (1 + math.exp(-1.702)),
    "relu": 1.0,
    "relu2": 1.0,
    "relu6": 1.0,
    "sigmoid": 1 / (1 + math.exp(-1)),
    "silu": 1 / (1 + math.exp(-1)),
    "sqrtsoftplus": math.sqrt(math.log(1 + math.e)),
    "swish": 1 / (1 + math.exp(-1)),
    "tanh": math.tanh(1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_are_what_the_names_say(name):
    assert AT_ONE[name] == pytest.approx(float(Activation(name)(torch.tensor([1.0]))), abs=2e-6)


def test_the_config_takes_the_names_that_are_computed():
    assert set(ACTIVATIONS) == set(get_args(Activations))


@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        ("gelu_10", 20.0, 10.0),
        ("hardswish", -4.0, 0.0),
        ("leaky_relu", -2.0, -0.02),
        ("linear", -3.0, -3.0),
        ("relu2", 3.0, 9.0),
        ("relu2", -3.0, 0.0),
        ("relu6", 7.0, 6.0),
    ],
)
def test_values_where_others_would_differ(name, x, value):
    assert value == pytest.approx(float(Activation(name)(torch.tensor([x]))))


def test_an_unknown_name_is_one_line_with_the_known_ones():
    with pytest.raises(OptionError, match=r"'gelu_neu': expected one of gelu, .*mean gelu_new\?"):
        Activation("gelu_neu")


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if Activation(name).fused])
def test_fused_variants_compute_the_same(name):
    activation = Activation(name)
    post, variant = activation.fused
    weight = torch.linspace(-1, 1, 64 * 64).view(64, 64)
    x = torch.linspace(-2, 2, 3 * 64).view(3, 64)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)  # noqa: SLF001

    fused = torch.ops.mkldnn._linear_pointwise(x, packed, None, post, [], variant)  # noqa: SLF001

    torch.testing.assert_close(activation(x @ weight.T), fused, rtol=1e-4, atol=1e-4)
