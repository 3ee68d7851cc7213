"""Truncations that transformers lacks, against what their authors' programs do, token by token."""

import itertools
import math

import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gpt2sdk.testing import process
from gpt2sdk_sampling.min_k import MinK
from gpt2sdk_sampling.p_less import PLess
from gpt2sdk_sampling.tfs import Tfs
from gpt2sdk_sampling.top_a import TopA
from gpt2sdk_sampling.top_n_sigma import TopNSigma

# Eighths, all different: what ties do is not theirs to say.
rows = st.lists(st.integers(-80, 80), min_size=3, max_size=15, unique=True).map(
    lambda eighths: [each / 8 for each in eighths]
)


def shares(logits):
    weights = [math.exp(each - max(logits)) for each in logits]
    return [weight / sum(weights) for weight in weights]


def kept_by(processor, logits):
    """How many tokens stay; all of these keep the likeliest ones."""
    found = process(processor, [logits])[0]
    kept = found.isfinite()
    assert found[kept].amin() > torch.tensor(logits)[~kept].amax() if not kept.all() else True
    return int(kept.sum())


def far_from_the_edge(numbers, edge):
    assume(all(abs(number - edge) > 1e-5 * max(edge, 1e-3) for number in numbers))


@given(logits=rows, z=st.floats(0.0, 0.99))
def test_tfs_is_that_of_koboldai(logits, z):
    probs = sorted(shares(logits), reverse=True)
    falls = [p - q for p, q in itertools.pairwise(probs)]
    bends = [abs(p - q) for p, q in itertools.pairwise(falls)]
    assume(sum(bends) > 1e-6)
    done = [sum(bends[: i + 1]) / sum(bends) for i in range(len(bends))]
    far_from_the_edge(done, z)
    removed = [False, *(each > z for each in done), True]

    assert removed.index(True) == kept_by(Tfs(tfs=z), logits)


@given(logits=rows, a=st.floats(0.01, 1.0))
def test_top_a_is_that_of_rwkv(logits, a):
    probs = shares(logits)
    least = max(probs) ** 2 * a
    far_from_the_edge(probs, least)

    assert sum(p >= least for p in probs) == kept_by(TopA(top_a=a), logits)


@given(logits=rows)
def test_p_less_is_that_of_the_paper(logits):
    probs = shares(logits)
    least = sum(p * p for p in probs)
    far_from_the_edge(probs, least)

    assert sum(p >= least for p in probs) == kept_by(PLess(p_less=True), logits)


@given(logits=rows, n=st.floats(0.05, 4.0))
def test_top_n_sigma_is_that_of_llama_cpp(logits, n):
    mean = sum(logits) / len(logits)
    sigma = math.sqrt(sum((each - mean) ** 2 for each in logits) / len(logits))
    least = max(logits) - n * sigma
    assume(all(abs(each - least) > 1e-4 for each in logits))

    assert sum(each >= least for each in logits) == kept_by(TopNSigma(top_n_sigma=n), logits)


@given(logits=rows, tau=st.floats(0.0, 60.0))
def test_min_k_is_that_of_the_authors(logits, tau):
    ordered = sorted(logits, reverse=True)
    spread = ordered[0] - ordered[-1]
    assume(abs(tau / spread - round(tau / spread)) > 1e-6 or tau == 0.0)
    decays = [(ordered[i] - ordered[i + 1]) / (spread * (i + 1)) for i in range(len(ordered) - 1)]
    best = max(decays)
    assume(sum(best - each < 1e-6 for each in decays) == 1)
    k = max(decays.index(best) + 1, math.floor(tau / spread))

    assert min(k, len(logits)) == kept_by(MinK(min_k=True, min_k_tau=tau), logits)
