"""Counter-based random numbers."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.rng import derive, fresh_seed, purpose_key, uniform

WORDS = st.integers(0, 2**64 - 1)


@given(WORDS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_lie_in_the_half_open_unit_interval(seed, lane, draw):
    number = uniform(seed, lane, draw, purpose_key("x"))

    assert 0.0 <= number < 1.0


def test_a_number_is_a_function_of_each_part_of_its_key():
    base = uniform(1, 2, 3, purpose_key("a"))
    others = [
        uniform(0, 2, 3, purpose_key("a")),
        uniform(1, 3, 2, purpose_key("a")),
        uniform(1, 2, 4, purpose_key("a")),
        uniform(1, 2, 3, purpose_key("b")),
    ]

    assert base == uniform(1, 2, 3, purpose_key("a"))
    assert len({base, *others}) == 5


def test_negative_and_huge_seeds_are_taken_modulo_two_to_the_64th():
    assert uniform(-1, 0, 0, 5) == uniform(2**64 - 1, 0, 0, 5)


@pytest.mark.parametrize("axis", ["seed", "lane", "draw"])
def test_neighbouring_keys_give_uniform_and_uncorrelated_numbers(axis):
    key = purpose_key("sample")
    makers = {
        "seed": lambda n: uniform(n, 0, 0, key),
        "lane": lambda n: uniform(7, n, 0, key),
        "draw": lambda n: uniform(7, 0, n, key),
    }
    numbers = [makers[axis](n) for n in range(20_000)]

    counts = [0] * 20
    for number in numbers:
        counts[int(number * 20)] += 1
    chi_squared = sum((count - 1000) ** 2 / 1000 for count in counts)
    mean = sum(numbers) / len(numbers)
    pairs = pairwise(numbers)
    covariance = sum((a - mean) * (b - mean) for a, b in pairs) / len(numbers)

    assert chi_squared < 45  # 19 degrees of freedom: exceeded once in 1,400 at random
    assert abs(covariance * 12) < 4 / math.sqrt(len(numbers))


def test_prompt_zero_keeps_the_seed_and_others_get_their_own():
    seeds = [derive(7, index) for index in range(1000)]

    assert seeds[0] == 7
    assert len(set(seeds)) == 1000


def test_fresh_seeds_are_short_enough_to_type():
    assert 0 <= fresh_seed() < 2**48
