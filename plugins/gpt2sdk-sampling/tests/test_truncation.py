"""Temperature and truncation, on numbers to check by hand and on any others."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import OptionError
from gpt2sdk.testing import process, reweigh
from gpt2sdk_sampling.epsilon_cutoff import EpsilonCutoff
from gpt2sdk_sampling.eta_cutoff import EtaCutoff
from gpt2sdk_sampling.min_k import MinK
from gpt2sdk_sampling.min_p import MinP
from gpt2sdk_sampling.nucleus import reach
from gpt2sdk_sampling.p_less import PLess
from gpt2sdk_sampling.temperature import Temperature
from gpt2sdk_sampling.tfs import Tfs
from gpt2sdk_sampling.top_a import TopA
from gpt2sdk_sampling.top_h import TopH
from gpt2sdk_sampling.top_k import TopK
from gpt2sdk_sampling.top_n_sigma import TopNSigma
from gpt2sdk_sampling.top_p import TopP
from gpt2sdk_sampling.typical_p import TypicalP

EASY = [0.9, 0.0, 0.0, 0.1]
STEPS = [0.5, 0.25, 0.125, 0.125]
counts = st.lists(st.integers(0, 100), min_size=2, max_size=20).filter(any)


@pytest.mark.parametrize(
    ("processor", "given", "expected"),
    [
        (Temperature(temperature=0.5), EASY, [0.9878, 0.0, 0.0, 0.0122]),
        (Temperature(temperature=2.0), EASY, [0.75, 0.0, 0.0, 0.25]),
        (Temperature(temperature=0.0), EASY, [1.0, 0.0, 0.0, 0.0]),
        (Temperature(temperature=1e-30), EASY, [1.0, 0.0, 0.0, 0.0]),
        (Temperature(temperature=0.0), [0.2, 0.4, 0.4, 0.0], [0.0, 1.0, 0.0, 0.0]),
        (TopK(top_k=1), EASY, [1.0, 0.0, 0.0, 0.0]),
        (TopK(top_k=2), EASY, EASY),
        (TopK(top_k=3), STEPS, STEPS),
        (TopP(top_p=0.3), EASY, [1.0, 0.0, 0.0, 0.0]),
        (TopP(top_p=0.95), EASY, EASY),
        (TopP(top_p=0.6), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopP(top_p=0.8), STEPS, STEPS),
        (MinP(min_p=0.2), EASY, [1.0, 0.0, 0.0, 0.0]),
        (MinP(min_p=0.1), EASY, EASY),
        (MinP(min_p=0.3), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (MinP(min_p=1.0), STEPS, [1.0, 0.0, 0.0, 0.0]),
        # Entropy 1.213; surprises 0.693, 1.386 and 2.079 are 0.520, 0.173 and 0.866 from it.
        (TypicalP(typical_p=0.2), STEPS, [0.0, 1.0, 0.0, 0.0]),
        (TypicalP(typical_p=0.7), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TypicalP(typical_p=0.9), STEPS, STEPS),
        (EpsilonCutoff(epsilon_cutoff=0.2), EASY, [1.0, 0.0, 0.0, 0.0]),
        (EpsilonCutoff(epsilon_cutoff=0.2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        # The limit is min(0.16, 0.4 * exp(-1.213)) = 0.119.
        (EtaCutoff(eta_cutoff=0.16), STEPS, STEPS),
        (EtaCutoff(eta_cutoff=0.25), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopH(top_h=0.2), STEPS, [1.0, 0.0, 0.0, 0.0]),
        (TopH(top_h=0.99), STEPS, STEPS),
        (TopH(top_h=0.2, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopK(top_k=1, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopK(top_k=3, min_tokens_to_keep=2), STEPS, STEPS),
        (TopP(top_p=0.0, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopP(top_p=0.8, min_tokens_to_keep=2), STEPS, STEPS),
        (MinP(min_p=1.0, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        # 1/4 is nearest to the entropy, then 1/2.
        (TypicalP(typical_p=0.2, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (EpsilonCutoff(epsilon_cutoff=0.9, min_tokens_to_keep=2), EASY, EASY),
        (EtaCutoff(eta_cutoff=0.9, min_tokens_to_keep=2), EASY, EASY),
        # At least 0.2 * 0.81 and 1 * 0.25.
        (TopA(top_a=0.2), EASY, [1.0, 0.0, 0.0, 0.0]),
        (TopA(top_a=0.1), EASY, EASY),
        (TopA(top_a=1.0), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopA(top_a=1.0), [0.25] * 4, [0.25] * 4),
        (TopA(top_a=1.0, min_tokens_to_keep=3), STEPS, STEPS),
        # The bends of 1/2, 1/4, 1/8, 1/8 are 1/8 and 1/8.
        (Tfs(tfs=0.0), STEPS, [1.0, 0.0, 0.0, 0.0]),
        (Tfs(tfs=0.6), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (Tfs(tfs=0.99), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (Tfs(tfs=0.0, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (Tfs(tfs=0.0), EASY, EASY),  # no more than two are left
        (Tfs(tfs=0.0), [0.25] * 4, [0.25] * 4),
        # In units of ln 2 the logits are 3, 2, 1, 1: mean 1.75, deviation 0.829.
        (TopNSigma(top_n_sigma=1.0), STEPS, [1.0, 0.0, 0.0, 0.0]),
        (TopNSigma(top_n_sigma=1.25), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopNSigma(top_n_sigma=2.5), STEPS, STEPS),
        (TopNSigma(top_n_sigma=0.1, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (TopNSigma(top_n_sigma=1.0), [0.25] * 4, [0.25] * 4),
        # Falls of 1, 1 and 0 times ln 2; the range is 2 ln 2 = 1.386, and 3 / 1.386 is 2.16.
        (MinK(min_k=True, min_k_tau=0.0), STEPS, [1.0, 0.0, 0.0, 0.0]),
        (MinK(min_k=True), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
        (MinK(min_k=True, min_k_tau=4.2), STEPS, STEPS),
        (MinK(min_k=True, min_k_tau=0.0), [0.25] * 4, [0.25] * 4),
        (MinK(min_k=True, min_k_tau=0.0, min_tokens_to_keep=3), STEPS, STEPS),
        # 0.82 and 0.34375.
        (PLess(p_less=True), EASY, [1.0, 0.0, 0.0, 0.0]),
        (PLess(p_less=True), STEPS, [1.0, 0.0, 0.0, 0.0]),
        (PLess(p_less=True), [0.25] * 4, [0.25] * 4),
        (PLess(p_less=True, min_tokens_to_keep=2), STEPS, [0.6667, 0.3333, 0.0, 0.0]),
    ],
)
def test_distributions_checked_by_hand(processor, given, expected):
    assert expected == reweigh(processor, given)


TRUNCATIONS = [
    EpsilonCutoff(epsilon_cutoff=0.05),
    EtaCutoff(eta_cutoff=0.1),
    MinK(min_k=True),
    MinK(min_k=True, min_k_tau=0.0),
    MinP(min_p=0.2),
    PLess(p_less=True),
    Tfs(tfs=0.7),
    TopA(top_a=0.5),
    TopH(top_h=0.6),
    TopK(top_k=3),
    TopNSigma(top_n_sigma=0.7),
    TopP(top_p=0.8),
    TypicalP(typical_p=0.6),
]


@pytest.mark.parametrize("processor", TRUNCATIONS, ids=repr)
@given(
    logits=st.lists(st.integers(-40, 40), min_size=1, max_size=12),
    out=st.lists(st.integers(0, 11), max_size=6),
)
def test_tokens_that_are_out_do_not_count(processor, logits, out):
    """A row with them is cut as one in which they never were."""
    left = torch.tensor([logits], dtype=torch.float32) / 4
    places = [place for place in range(12 + len(logits)) if place not in out][: len(logits)]
    row = torch.full((1, max(places) + 4), -torch.inf)
    row[:, places] = left

    assert process(processor, left).isfinite().equal(process(processor, row)[:, places].isfinite())


@pytest.mark.parametrize("processor", TRUNCATIONS, ids=repr)
@given(logits=st.lists(st.integers(-5, 5), min_size=1, max_size=12))
def test_equal_tokens_stay_or_go_together(processor, logits):
    row = torch.tensor([logits], dtype=torch.float32)

    kept = process(processor, row)[0].isfinite().tolist()

    fates = {
        logit: {stays for each, stays in zip(logits, kept, strict=True) if each == logit}
        for logit in logits
    }
    assert {1} == {len(fate) for fate in fates.values()}


@given(counts=counts, mass=st.floats(0.0, 1.0, exclude_max=True))
def test_top_p_keeps_the_smallest_set_reaching_p(counts, mass):
    probs = torch.tensor([counts], dtype=torch.float64) / sum(counts)

    kept = process(TopP(top_p=mass), probs.float().log()).isfinite()

    assert kept.any()
    assert probs[kept].sum() >= mass - 1e-6
    strictly_above = probs > probs[kept].min()
    assert probs[strictly_above].sum() <= mass + 1e-6
    assert not (strictly_above & ~kept).any()


@given(counts=counts, top_k=st.integers(1, 25))
def test_top_k_keeps_k_tokens_and_their_ties(counts, top_k):
    logits = torch.tensor([counts], dtype=torch.float32)

    kept = process(TopK(top_k=top_k), logits).isfinite().sum().item()

    strictly_better = len([each for each in counts if each > sorted(counts)[-top_k:][0]])
    assert kept >= min(top_k, len(counts))
    assert strictly_better < top_k


@given(counts=counts, temperature=st.floats(0.0, 100.0))
def test_the_best_token_stays_the_best_at_any_temperature(counts, temperature):
    logits = torch.tensor([counts], dtype=torch.float32)

    assert logits.argmax() == process(Temperature(temperature=temperature), logits).argmax()


@given(
    weights=st.lists(st.floats(0.0, 1.0, width=32), min_size=1, max_size=30).filter(any),
    mass=st.floats(0.001, 0.999),
    data=st.data(),
)
def test_reach_is_what_sorting_and_summing_gives(weights, mass, data):
    distances = data.draw(
        st.lists(
            st.floats(0.0, width=32, allow_nan=False),
            min_size=len(weights),
            max_size=len(weights),
        )
    )
    held, goal, expected = 0.0, torch.tensor(weights, dtype=torch.float64).sum().item() * mass, None
    for distance, weight in sorted(zip(distances, weights, strict=True)):
        held += weight
        if expected is None and held >= goal:
            expected = distance
    near = [
        sum(w for d, w in zip(distances, weights, strict=True) if d <= limit) - goal
        for limit in distances
    ]
    if any(abs(gap) < 1e-9 for gap in near):
        return  # which side of the goal a sum falls on is a matter of rounding

    assert expected == reach(torch.tensor([distances]), torch.tensor([weights]), mass).item()


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (Temperature, "temperature", -0.1),
        (TopK, "top_k", -1),
        (TopK, "top_k", 2.5),
        (TopP, "top_p", 1.5),
        (MinP, "min_p", -0.5),
        (TypicalP, "typical_p", 0.0),
        (TypicalP, "typical_p", float("nan")),
        (TopA, "top_a", 1.5),
        (Tfs, "tfs", -0.1),
        (TopNSigma, "top_n_sigma", -1.0),
        (MinK, "min_k", 3.0),
    ],
)
def test_values_out_of_range_are_refused(kind, option, value):
    with pytest.raises(OptionError, match=option):
        kind(**{option: value})
