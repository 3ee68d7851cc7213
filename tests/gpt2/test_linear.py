"""Packed matrices compute the same, and say what they cannot do."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional

from gpt2sdk.errors import PackedError
from gpt2sdk.gpt2 import packed as module
from gpt2sdk.gpt2.linear import Linear
from gpt2sdk.gpt2.packed import pack

DTYPES = [torch.float32, torch.bfloat16]


def made(dtype=torch.float32, size=300, out=400):
    generator = torch.Generator().manual_seed(0)
    layer = Linear(size, out)
    with torch.no_grad():
        layer.weight.normal_(generator=generator)
        layer.bias.normal_(generator=generator)
    return layer.to(dtype)


def packed(dtype=torch.float32):
    layer = made(dtype)
    product = pack(layer.weight, layer.bias)
    if product is None:
        pytest.skip(f"no oneDNN kernels for {dtype} on this machine")
    layer.pack(product)
    return layer


def rows(count, dtype=torch.float32):
    return torch.randn(count, 300, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 300), (17, 300), (2, 3, 300), (0, 300)])
def test_packed_products_are_the_plain_ones(dtype, shape):
    plain, blocked = made(dtype), packed(dtype)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(dtype)

    with torch.no_grad():
        expected, got = plain(x), blocked(x)

    tolerance = 1e-5 if dtype is torch.float32 else 2e-2
    torch.testing.assert_close(expected, got, rtol=tolerance, atol=tolerance * 30)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_does_not_depend_on_its_neighbours(dtype):
    blocked = packed(dtype)
    x = rows(33, dtype)

    with torch.no_grad():
        together = blocked(x).float()
        apart = torch.cat([blocked(x[place : place + 1]) for place in range(33)]).float()

    spread = float(together.max() - together.min())
    assert float((together - apart).abs().max()) <= 1e-6 * spread


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_plain_matrix_comes_back_bit_for_bit_into_its_parameter(dtype):
    blocked = made(dtype)
    parameter = blocked.weight
    blocked.pack(pack(parameter, blocked.bias))

    assert (torch.Size([400, 300]), dtype) == (blocked.weight.shape, blocked.weight.dtype)
    assert 400 * 300 == blocked.weight.numel()
    assert torch.device("cpu") == blocked.weight.device
    assert 0 == parameter.numel()
    blocked.unpack()
    assert torch.equal(made(dtype).weight, blocked.weight)
    assert parameter is blocked.weight
    assert blocked.packed is None


@pytest.mark.parametrize(
    "use",
    [
        lambda weight: weight.sum(),
        lambda weight: weight.data,
        lambda weight: weight.detach(),
        lambda weight: torch.nn.functional.linear(torch.ones(1, 300), weight),
        lambda weight: weight.mul_(2.0),
        lambda weight: weight.copy_(torch.zeros(400, 300)),
        lambda weight: torch.optim.SGD([weight]),
    ],
)
def test_numbers_of_a_packed_matrix_are_neither_read_nor_written(use):
    with pytest.raises(PackedError, match=r"call model.train\(\) or model.unpack\(\) first"):
        use(packed().weight)


def test_whether_gradients_are_wanted_is_kept():
    blocked = packed()
    blocked.weight.requires_grad_(requires_grad=False)
    blocked.unpack()

    assert not blocked.weight.requires_grad


def test_saving_reads_the_matrix_and_leaves_it_packed():
    plain, blocked = made(), packed()

    state = blocked.state_dict()

    assert torch.equal(plain.weight, state["weight"])
    assert blocked.packed is not None


def test_loading_replaces_what_was_packed():
    blocked = packed()
    other = {"weight": torch.ones(400, 300), "bias": torch.zeros(400)}

    blocked.load_state_dict(other)

    with torch.no_grad():
        torch.testing.assert_close(torch.full((1, 400), 300.0), blocked(torch.ones(1, 300)))


@pytest.mark.parametrize("assign", [False, True])
def test_a_model_on_the_meta_device_is_loaded_and_packed(assign):
    with torch.device("meta"):
        layer = Linear(300, 400)
    assert pack(layer.weight, layer.bias) is None

    if not assign:
        layer.to_empty(device="cpu")
    layer.load_state_dict(made().state_dict(), assign=assign)

    assert pack(layer.weight, layer.bias) is not None


def test_gradients_are_refused():
    blocked = packed()
    with pytest.raises(PackedError, match="gradients"):
        blocked(rows(2))
    blocked.requires_grad_(requires_grad=False)
    with pytest.raises(PackedError, match="gradients"):
        blocked(rows(2).requires_grad_())

    assert not blocked(rows(2)).requires_grad


def test_another_parameter_replaces_what_was_packed():
    blocked = packed()

    blocked.weight = nn.Parameter(torch.zeros(400, 300))

    with torch.no_grad():
        assert torch.equal(blocked.bias.expand(1, 400), blocked(rows(1)))


def test_copies_and_pickles_hold_the_plain_matrix():
    stream = io.BytesIO()
    torch.save(packed(), stream)
    stream.seek(0)

    for again in (copy.deepcopy(packed()), torch.load(stream, weights_only=False)):
        assert torch.equal(made().weight, again.weight)


def test_moving_moves_the_plain_matrix():
    assert torch.equal(made().double().weight, packed().double().weight)


@pytest.mark.parametrize(
    ("dtype", "size", "out"),
    [(torch.float64, 300, 400), (torch.float16, 300, 400), (torch.float32, 8, 8)],
)
def test_what_gains_nothing_stays_plain(dtype, size, out):
    layer = made(dtype, size, out)

    assert pack(layer.weight, layer.bias) is None


def test_without_onednn_everything_stays_plain(monkeypatch):
    layer = made()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)

    assert pack(layer.weight, layer.bias) is None


def test_a_kernel_that_computes_something_else_is_not_used(monkeypatch):
    assert pack(made().weight) is not None

    monkeypatch.setattr(module.functional, "linear", lambda *_: functional.silu(torch.ones(2, 400)))

    assert pack(made().weight) is None
