"""What bends the distribution: dynamic temperature, smoothing, renormalisation."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, process
from gpt2sdk_sampling.renormalize_logits import RenormalizeLogits
from gpt2sdk_sampling.smoothing_factor import SmoothingFactor
from gpt2sdk_sampling.temperature import Temperature

LETTERS = Letters()


def published(logits, temperature, spread, exponent):
    """llama.cpp's temperature of a row, token by token; `None` where it does nothing."""
    logits = [each for each in logits if each > -math.inf]
    if len(logits) <= 1:
        return None
    weights = [math.exp(each - max(logits)) for each in logits]
    probs = [weight / sum(weights) for weight in weights]
    entropy = -sum(p * math.log(p) for p in probs if p > 0)
    low, high = max(0.0, temperature - spread), temperature + spread
    return low + (high - low) * (entropy / math.log(len(logits))) ** exponent


@given(
    logits=st.lists(st.integers(-30, 30), min_size=1, max_size=10),
    out=st.integers(0, 3),
    temperature=st.floats(0.0, 2.0),
    spread=st.floats(0.01, 2.0),
    exponent=st.floats(0.2, 4.0),
)
def test_the_dynamic_temperature_is_that_of_llama_cpp(logits, out, temperature, spread, exponent):
    row = [each / 4 for each in logits] + [-math.inf] * out
    dynamic = Temperature(
        temperature=temperature, dynatemp_range=spread, dynatemp_exponent=exponent
    )
    expected = published(row, temperature, spread, exponent)

    found = dynamic.temperatures(torch.tensor([row])).item()

    assert pytest.approx(1.0 if expected is None else expected, rel=1e-4, abs=1e-6) == found


def test_logits_are_divided_by_their_rows_temperature():
    dynamic = Temperature(temperature=1.0, dynatemp_range=0.5)
    flat, sure = [0.0, 0.0, 0.0, 0.0], [0.0, -300.0, -300.0, -300.0]

    found = process(dynamic, [flat, sure]).tolist()

    assert [[0.0, 0.0, 0.0, 0.0], [0.0, -600.0, -600.0, -600.0]] == found


def test_a_temperature_that_falls_to_zero_keeps_the_best_token():
    dynamic = Temperature(temperature=0.5, dynatemp_range=0.5)

    found = process(dynamic, [[0.0, 200.0, -200.0]])

    assert [[False, True, False]] == found.isfinite().tolist()


def test_a_range_acts_around_a_temperature_of_one():
    generator = Generator(TableModel(28), LETTERS, decoder=LETTERS, eos_token_ids=[])
    options = {"temperature": 1.0, "max_new_tokens": 40, "seed": 3}

    plain = generator.generate("a", **options)
    dynamic = generator.generate("a", dynatemp_range=0.9, **options)

    assert plain.text != dynamic.text
    assert 0.9 == dynamic.options["dynatemp_range"]


def test_a_range_alone_says_around_what():
    generator = Generator(TableModel(28), LETTERS, decoder=LETTERS, eos_token_ids=[])

    with pytest.raises(OptionError, match="dynatemp_range does nothing without temperature"):
        generator.generate("a", dynatemp_range=0.5)


def test_an_exponent_without_a_range_is_refused():
    with pytest.raises(OptionError, match="has dynatemp_exponent for a dynatemp_range above 0"):
        Temperature(temperature=0.7, dynatemp_exponent=2.0)


@pytest.mark.parametrize(
    ("factor", "curve", "expected"),
    [
        (1.0, 1.0, [2.0, 1.0, -2.0, -7.0]),
        (0.5, 1.0, [2.0, 1.5, 0.0, -2.5]),
        (1.0, 3.0, [2.0, 1.0, -6.0, -25.0]),
        (1.0, 2.0, [2.0, 1.0, -4.0, -16.0]),
    ],
)
def test_smoothed_logits_checked_by_hand(factor, curve, expected):
    smoothing = SmoothingFactor(smoothing_factor=factor, smoothing_curve=curve)

    assert [expected] == process(smoothing, [[2.0, 1.0, 0.0, -1.0]]).tolist()


@given(
    logits=st.lists(st.integers(-200, 200), min_size=2, max_size=10),
    factor=st.floats(0.01, 10.0),
    curve=st.floats(1.0, 3.0),
)
def test_smoothing_keeps_the_order(logits, factor, curve):
    row = torch.tensor([logits], dtype=torch.float32) / 8

    bent = process(SmoothingFactor(smoothing_factor=factor, smoothing_curve=curve), row)

    assert bent.gather(1, row.argsort(-1)).diff().ge(0).all()
    assert row.amax() == bent.amax()


@pytest.mark.parametrize("curve", [0.5, 3.5])
def test_a_curve_that_would_turn_the_order_around_is_refused(curve):
    with pytest.raises(OptionError, match="smoothing_curve"):
        SmoothingFactor(smoothing_factor=1.0, smoothing_curve=curve)


def test_what_is_left_becomes_log_probabilities():
    logits = torch.tensor([[3.0, 1.0, -torch.inf]])

    found = process(RenormalizeLogits(renormalize_logits=True), logits)

    torch.testing.assert_close(logits.log_softmax(-1), found)
