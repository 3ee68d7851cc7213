"""Texts without a mark have uniform p-values, and tails are what they say."""

import itertools
import math
import random
import resource

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Detector
from gpt2sdk_watermark.green_list import DEFAULT_KEY
from gpt2sdk_watermark.gumbel_watermark import GumbelWatermark
from gpt2sdk_watermark.kgw_watermark import KgwWatermark
from gpt2sdk_watermark.synthid_watermark import SynthidWatermark
from gpt2sdk_watermark.tails import binomial_tail, coins_tail, gamma_tail
from gpt2sdk_watermark.unigram_watermark import UnigramWatermark

MARKS = [
    lambda key: KgwWatermark(hashing_key=key),
    lambda key: KgwWatermark(hashing_key=key, greenlist_ratio=0.5, context_width=3),
    lambda key: KgwWatermark(hashing_key=key, seeding_scheme="selfhash", context_width=4),
    lambda key: UnigramWatermark(hashing_key=key),
    lambda key: SynthidWatermark(hashing_key=key),
    lambda key: SynthidWatermark(hashing_key=key, context_width=1, tournament_layers=5),
    lambda key: GumbelWatermark(hashing_key=key),
    lambda key: GumbelWatermark(hashing_key=key, second_key=key + 1, context_width=1),
]


def kolmogorov(values):
    """Return the p-value of the distance of numbers from uniform ones, asymptotically."""
    ordered, count = sorted(values), len(values)
    distance = max(
        max((n + 1) / count - value, value - n / count) for n, value in enumerate(ordered)
    )
    scaled = (math.sqrt(count) + 0.12 + 0.11 / math.sqrt(count)) * distance
    terms = ((-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * sum(terms)))


def smoothed(mark, found, chance):
    """Return a p-value uniform also where the statistic is a count: ties are broken by chance."""
    if not hasattr(mark, "greenlist_ratio"):
        return found.p_value
    more = math.exp(binomial_tail(found.count, int(found.statistic) + 1, mark.greenlist_ratio))
    if int(found.statistic) == found.count:
        more = 0.0
    return more + chance * (found.p_value - more)


def texts(count):
    """Yield texts that repeat themselves as people do: few words are used most."""
    draw = random.Random(5)  # noqa: S311 - no secret
    for _ in range(count):
        yield [int(50257 ** draw.random()) - 1 for _ in range(80)]


@pytest.mark.parametrize("make", MARKS)
def test_p_values_of_texts_without_a_mark_are_uniform(make):
    chance = random.Random(6)  # noqa: S311 - no secret
    values = []
    for number, text in enumerate(texts(400)):
        mark = make(1000 + number)
        values.append(smoothed(mark, mark.detect(text), chance.random()))

    assert kolmogorov(values) > 0.01


@pytest.mark.parametrize("make", MARKS)
def test_one_text_has_uniform_p_values_over_keys(make):
    chance = random.Random(7)  # noqa: S311 - no secret
    text = [1, 2, 3, 4, 5, 6, 7, 8] * 3 + list(range(100, 160))
    marks = [make(key) for key in range(400)]
    values = [smoothed(mark, mark.detect(text), chance.random()) for mark in marks]

    assert kolmogorov(values) > 0.01


def test_the_test_of_uniformity_can_fail():
    assert kolmogorov([number / 400 * 0.85 for number in range(400)]) < 0.01


def test_counting_repetitions_would_not_be_uniform():
    """What the detector would find if a green n-gram that returns counted every time."""
    text = [1, 2, 3, 4] * 20
    values = []
    for key in range(300):
        mark = KgwWatermark(hashing_key=key, greenlist_ratio=0.5)
        pairs = [mark.detect(list(pair)) for pair in itertools.pairwise(text)]
        hits = sum(int(found.statistic) for found in pairs)
        values.append(math.exp(binomial_tail(len(pairs), hits, 0.5)))

    assert kolmogorov(values) < 1e-6


@pytest.mark.parametrize("make", MARKS)
def test_nothing_is_found_where_nothing_counts(make):
    mark = make(3)

    assert isinstance(mark, Detector)
    assert (1.0, 0, 0.0) == (
        mark.detect([]).p_value,
        mark.detect([]).count,
        mark.detect([]).z_score,
    )
    assert mark.detect([5, 6, 7], start=3).p_value == 1.0


@pytest.mark.parametrize("make", MARKS)
def test_a_repeated_text_is_no_more_evidence(make):
    text = list(range(50, 90))
    once, again = make(3).detect(text), make(3).detect(text * 4)

    assert again.count - once.count <= 4
    assert again.token_count == 160


@given(st.integers(1, 40), st.floats(0.05, 0.95), st.data())
def test_a_binomial_tail_is_its_sum(count, share, data):
    hits = data.draw(st.integers(0, count))
    masses = [
        math.comb(count, n) * share**n * (1 - share) ** (count - n) for n in range(hits, count + 1)
    ]

    assert math.exp(binomial_tail(count, hits, share)) == pytest.approx(math.fsum(masses))


@given(st.integers(1, 30), st.floats(0.01, 60.0))
def test_a_gamma_tail_is_torchs(count, total):
    number = torch.tensor([float(count), total], dtype=torch.float64)
    expected = torch.special.gammaincc(number[0], number[1])

    assert math.exp(gamma_tail(count, total)) == pytest.approx(expected.item(), rel=1e-6)


@given(st.lists(st.integers(1, 10), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_a_tail_of_coins_is_counted_out(weights, count, data):
    coins = weights * count
    total = data.draw(st.integers(0, sum(coins)))
    worth = [
        sum(weight for weight, head in zip(coins, heads, strict=True) if head)
        for heads in itertools.product((0, 1), repeat=len(coins))
    ]
    expected = sum(each >= total for each in worth) / len(worth)

    assert math.exp(coins_tail(weights, count, total)) == pytest.approx(expected, rel=1e-6)


def test_tails_are_precise_far_out():
    heads = 30 * 100 * math.log(0.5)

    assert coins_tail([1] * 30, 100, 3000) == pytest.approx(heads, rel=1e-6)
    assert binomial_tail(200, 200, 0.25) == pytest.approx(200 * math.log(0.25))
    assert gamma_tail(1, 900.0) == pytest.approx(-900.0)


def test_a_tail_of_many_coins_is_that_of_the_whole_distribution():
    """Of 300 tokens the window is less than the whole."""
    weights, count = [10, 7, 4, 1], 300
    masses = [1]
    for weight in weights * count:
        gap = [0] * weight
        masses = [one + more for one, more in zip([*masses, *gap], [*gap, *masses], strict=True)]
    most, squares = len(masses) - 1, sum(weight**2 for weight in weights)

    for deviations in (-6.0, -1.0, 0.0, 2.3, 9.0, 25.0, 99.0):
        total = min(most, round(most / 2 + deviations * math.sqrt(count * squares) / 2))
        expected = math.log(sum(masses[total:])) - len(weights) * count * math.log(2.0)
        assert coins_tail(weights, count, total) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_tails_of_long_texts_take_little():
    weights = [10, 7, 4, 1] * 8
    sums, squares = sum(weights), sum(weight**2 for weight in weights)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = coins_tail(weights, 60_000, round(30_000 * sums + 3.0 * math.sqrt(15_000 * squares)))

    assert math.exp(found) == pytest.approx(math.erfc(3.0 / math.sqrt(2.0)) / 2, rel=0.02)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_the_default_key_is_transformers():
    from transformers import WatermarkingConfig

    assert DEFAULT_KEY == WatermarkingConfig().hashing_key
