"""Each sampler draws what its definition says: chi-square over many rows."""

import math
from itertools import pairwise

import pytest
import torch

from gpt2sdk import Sampler
from gpt2sdk.components import Multinomial
from gpt2sdk.testing import make_rows
from gpt2sdk.testing.acting import begin
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.adaptive_p import AdaptiveP
from gpt2sdk_sampling.mirostat import Mirostat
from gpt2sdk_sampling.mirostat_v1 import MirostatV1

ROWS, TURNS = 2_000, 10
DRAWS = ROWS * TURNS
PROBS = [0.3, 0.2, 0.15, 0.12, 0.08, 0.06, 0.05, 0.03, 0.01]

# The 0.999 quantiles of chi-square by its degrees of freedom.
QUANTILES = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 6: 22.46, 7: 24.32, 8: 26.12}


def renormalised(weights):
    return [weight / sum(weights) for weight in weights]


def of_mirostat(tau):
    """Surprises up to mu = 2 tau."""
    return renormalised([p if -math.log2(p) <= 2 * tau else 0.0 for p in PROBS])


def of_mirostat_v1(tau):
    """The authors' k + 1 likeliest tokens for mu = 2 tau; the probabilities are sorted."""
    steps = [math.log((i + 2) / (i + 1)) for i in range(len(PROBS) - 1)]
    falls = [math.log(p / q) for p, q in pairwise(PROBS)]
    s = sum(t * b for t, b in zip(steps, falls, strict=True)) / sum(t * t for t in steps)
    k = ((s - 1) * 2 ** (2 * tau) / (1 - len(PROBS) ** (1 - s))) ** (1 / s)
    return renormalised([p if place < round(k) + 1 else 0.0 for place, p in enumerate(PROBS)])


def of_adaptive_p(target):
    """At the beginning the average is the target, and so is the goal."""
    apart = [abs(p - target) / 0.3 for p in PROBS]
    return renormalised([math.exp(5 - 10 * x * x / (1 + x)) for x in apart])


CASES = [
    (Multinomial(), PROBS),
    (Mirostat(mirostat_tau=1.2), of_mirostat(1.2)),
    (Mirostat(mirostat_tau=1.9), of_mirostat(1.9)),
    (MirostatV1(mirostat_tau=0.8), of_mirostat_v1(0.8)),
    (MirostatV1(mirostat_tau=1.2), of_mirostat_v1(1.2)),
    (AdaptiveP(adaptive_target=0.1), of_adaptive_p(0.1)),
    (AdaptiveP(adaptive_target=0.6), of_adaptive_p(0.6)),
]


def chi_square(sampler, expected, seed=17):
    """Return the statistic of the tokens that count, and its degrees of freedom."""
    prompts = [row.prompt for row in make_rows([[0]] * ROWS, seed=seed).records]
    session = open_session(prompts, vocab_size=len(PROBS))
    choose = begin(sampler, session, Sampler)
    logits = torch.tensor([PROBS]).log().expand(ROWS, -1)
    turns = [choose(logits, session.rows.bound(f"turn {turn}")) for turn in range(TURNS)]
    tokens = torch.cat(turns)
    counts = torch.bincount(tokens, minlength=len(PROBS)).tolist()
    drawable = [place for place, p in enumerate(expected) if p > 0]
    assert set(drawable) == {place for place, count in enumerate(counts) if count}
    found = sum((counts[i] - DRAWS * expected[i]) ** 2 / (DRAWS * expected[i]) for i in drawable)
    return found, len(drawable) - 1


@pytest.mark.parametrize(("sampler", "expected"), CASES, ids=lambda each: str(each)[:40])
def test_draws_are_distributed_as_defined(sampler, expected):
    found, freedom = chi_square(sampler, expected)

    assert found < QUANTILES[freedom]


def test_a_sampler_that_leans_is_found():
    class Leaning(Sampler):
        """Draws from logits that are a little off."""

        def choose(self, logits, rows):
            return rows.race(logits * 1.1)

    found, freedom = chi_square(Leaning(), PROBS)

    assert found > QUANTILES[freedom]
