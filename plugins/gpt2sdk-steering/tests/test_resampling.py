"""Each resampling scheme: right on average, and what it promises besides."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk_steering.resampling import SCHEMES, find_c, optimal, residual, systematic

WEIGHTS = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8).filter(lambda each: sum(each) > 0.1)


def normalised(weights):
    weights = torch.tensor(weights, dtype=torch.float64)
    return weights / weights.sum()


def drawn(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda count: -torch.log1p(-torch.rand(count, dtype=torch.float64, generator=generator))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_particle_has_its_weight_on_average(scheme):
    probs = normalised([37.0, 5.0, 0.0, 31.0, 27.0])
    found = torch.zeros(5, dtype=torch.float64)
    for seed in range(3000):
        parents, shares = SCHEMES[scheme](probs, 3, drawn(seed))
        found.index_add_(0, parents, shares)

    assert (found / 3000 - probs).abs().max() < 0.02


@pytest.mark.parametrize("scheme", sorted(SCHEMES.keys() - {"optimal"}))
@given(weights=WEIGHTS, children=st.integers(1, 9), seed=st.integers(0, 99))
def test_as_many_children_of_particles_with_weight(scheme, weights, children, seed):
    probs = normalised(weights)
    parents, shares = SCHEMES[scheme](probs, children, drawn(seed))

    assert children == len(parents) == len(shares)
    assert parents.tolist() == sorted(parents.tolist())
    assert bool((probs[parents] > 0).all())
    assert torch.allclose(shares, torch.full_like(shares, 1 / children))


@given(weights=WEIGHTS, children=st.integers(1, 9), seed=st.integers(0, 99))
def test_systematic_and_residual_give_at_least_the_whole_part(weights, children, seed):
    probs = normalised(weights)
    for scheme in (systematic, residual):
        counts = torch.bincount(scheme(probs, children, drawn(seed)).parents, minlength=len(probs))
        assert bool((counts >= (children * probs - 1e-6).floor()).all())


@given(weights=WEIGHTS, children=st.integers(1, 9), seed=st.integers(0, 99))
def test_optimal_chooses_none_twice_and_keeps_the_heavy(weights, children, seed):
    probs = normalised(weights)
    parents, shares = optimal(probs, children, drawn(seed))
    alive = int((probs > 0).sum())

    assert len(set(parents.tolist())) == len(parents) == min(children, alive)
    assert abs(shares.sum().item() - 1.0) < 1e-6
    if alive > children:
        c = find_c(probs, children)
        heavy = (c * probs >= 1.0).nonzero()[:, 0].tolist()
        assert set(heavy) <= set(parents.tolist())
        assert abs((c * probs).clamp(max=1.0).sum().item() - children) < 1e-6


def test_optimal_has_the_least_error_of_two_that_are_right_on_average():
    probs = normalised([6.0, 2.0, 1.0, 1.0])

    def error(scheme):
        total = 0.0
        for seed in range(500):
            parents, shares = scheme(probs, 2, drawn(seed))
            found = torch.zeros(4, dtype=torch.float64).index_add_(0, parents, shares)
            total += float((found - probs).square().sum())
        return total

    assert all(error(optimal) < error(SCHEMES[each]) for each in SCHEMES if each != "optimal")


def test_numbers_at_their_limits_fit():
    probs = normalised([1.0, 0.0, 1.0, 0.0])
    for scheme, number in itertools.product(SCHEMES.values(), (0.0, 1e-12, 60.0)):
        parents = scheme(probs, 2, lambda count, it=number: torch.full((count,), it).double())[0]
        assert set(parents.tolist()) <= {0, 2}
