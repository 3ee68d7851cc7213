"""Attention: values to check by hand, and the two ways to compute it agree."""

import math

import pytest
import torch

from gpt2sdk.gpt2.attention import CausalAttention, Heads, mix, weigh

LN_3 = math.log(3.0)


def heads(**changes):
    return Heads(**({"count": 1, "size": 2, "scaling": 1.0, "upcast": False} | changes))


def qkv(query, key, value):
    return torch.tensor([[*q, *k, *v] for q, k, v in zip(query, key, value, strict=True)])[None]


def test_values_are_mixed_by_the_softmax_of_what_is_seen():
    # The second query scores ln 3 against the first key and 0 against its own: weights 3/4, 1/4.
    made = qkv([[0.0, 0.0], [1.0, 0.0]], [[LN_3, 0.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 8.0]])

    mixed = CausalAttention()(0, made, heads())

    torch.testing.assert_close(torch.tensor([[[4.0, 0.0], [3.0, 2.0]]]), mixed)


def test_scaling_multiplies_scores():
    made = qkv([[0.0, 0.0], [1.0, 0.0]], [[LN_3, 0.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 8.0]])

    mixed = CausalAttention()(0, made, heads(scaling=0.0))

    torch.testing.assert_close(torch.tensor([2.0, 4.0]), mixed[0, 1])


def test_maps_are_the_weights():
    made = qkv([[0.0, 0.0], [1.0, 0.0]], [[LN_3, 0.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 8.0]])
    attend = CausalAttention(keep_maps=True)

    attend(0, made, heads())

    torch.testing.assert_close(torch.tensor([[[[1.0, 0.0], [0.75, 0.25]]]]), attend.maps[0])


@pytest.mark.parametrize("upcast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_step_by_step_and_fused_agree(dtype, upcast):
    query, key, value = torch.randn(3, 2, 4, 9, 8, generator=torch.Generator().manual_seed(0))
    several = heads(count=4, size=8, scaling=0.35, upcast=upcast)
    parts = (query.to(dtype), key.to(dtype), value.to(dtype))

    mixed, weights = weigh(*parts, several)

    assert (dtype, dtype) == (mixed.dtype, weights.dtype)
    close = 2e-2 if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(mixed, mix(*parts, several, causal=True), rtol=close, atol=close)


def test_upcast_scores_do_not_overflow_float16():
    query = torch.full((1, 1, 2, 4), 300.0, dtype=torch.float16)
    value = torch.ones(1, 1, 2, 4, dtype=torch.float16)

    plain, _ = weigh(query, query, value, heads(size=4))
    upcast, _ = weigh(query, query, value, heads(size=4, upcast=True))

    assert plain.isnan().any()
    torch.testing.assert_close(value, upcast)
    torch.testing.assert_close(value, mix(query, query, value, heads(size=4, upcast=True)))


def test_dropout_drops_weights():
    made = torch.randn(1, 50, 24, generator=torch.Generator().manual_seed(0))
    attend = CausalAttention(keep_maps=True)

    attend(0, made, heads(count=2, size=4, dropout=0.5))

    lower = torch.ones(50, 50).tril().bool().expand(1, 2, 50, 50)
    assert 0.4 < (attend.maps[0][lower] == 0).float().mean() < 0.6
