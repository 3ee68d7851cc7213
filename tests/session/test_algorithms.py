"""Verbs carry real algorithms: what they estimate is the exact posterior, enumerated."""

import itertools
import math
import runpy
from pathlib import Path

import pytest
import torch

from gpt2sdk import Generator
from gpt2sdk.testing import Letters, TableModel

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LETTERS = Letters("abcdef")
PROMPT, LENGTH = "fad", 4
WISH, STRENGTH = "b", math.log(3.0)
RUNS = 200
# Above the noise of 200 runs of 32 particles, and of 12,000 states of chains of which half move.
TOLERANCE = 0.025


def make_model():
    return TableModel(6, order=2, scale=1.2, seed=2)


@pytest.fixture(scope="module")
def generator():
    """Return a generator whose texts of four letters can be enumerated: there are 1,296."""
    return Generator(make_model(), LETTERS, decoder=LETTERS, eos_token_ids=[])


@pytest.fixture(scope="module")
def posterior():
    """Return the weight of each text: its probability times 3 for every `b` in it."""
    model = make_model()
    weights = {}
    texts = ["".join(letters) for letters in itertools.product("abcdef", repeat=LENGTH)]
    histories = [LETTERS.encode(PROMPT + text) for text in texts]
    scores = model.score(model.make_cache(len(texts)), histories, [LENGTH + 1] * len(texts))
    logprobs = scores.logits.log_softmax(-1).view(len(texts), LENGTH + 1, 6)
    for text, history, rows in zip(texts, histories, logprobs, strict=True):
        likelihood = sum(rows[at, token].item() for at, token in enumerate(history[-LENGTH:]))
        weights[text] = math.exp(likelihood + STRENGTH * text.count(WISH))
    return weights


def shares(weighted):
    """Return the share of each last letter, and of each number of wishes."""
    found = {}
    total = sum(weight for _, weight in weighted)
    for text, weight in weighted:
        for what in (text[-1], text.count(WISH)):
            found[what] = found.get(what, 0.0) + weight / total
    return found


def distance(one, other):
    """Return the total variation, the larger of letters' and wishes'."""
    gaps = {what: abs(one.get(what, 0.0) - other.get(what, 0.0)) for what in {*one, *other}}
    letters = sum(gap for what, gap in gaps.items() if isinstance(what, str))
    return max(letters, sum(gaps.values()) - letters) / 2


def test_the_enumeration_is_a_distribution(posterior):
    unwished = sum(w / math.exp(STRENGTH * text.count(WISH)) for text, w in posterior.items())

    assert pytest.approx(1.0) == unwished


def test_a_particle_filter_finds_the_posterior_and_the_evidence(generator, posterior):
    particle_filter = runpy.run_path(str(EXAMPLES / "06_particle_filter.py"))["particle_filter"]
    result = generator.generate(
        [PROMPT] * RUNS,
        strategy=particle_filter,
        wish=WISH,
        strength=STRENGTH,
        particles=32,
        num_return_sequences=32,
        max_new_tokens=LENGTH,
        seed=list(range(RUNS)),
        batch_size=RUNS,
    )
    scores = torch.tensor([each.score for each in result.completions]).view(RUNS, 32)
    # A run's weights add up to its evidence, so that runs count by what they found.
    found = shares(list(zip(result.texts, scores.exp().flatten().tolist(), strict=True)))
    evidence = scores.logsumexp(1).exp()
    expected = sum(posterior.values())

    gap = distance(shares(list(posterior.items())), found)
    noise = 4 * evidence.std() / math.sqrt(RUNS)
    print(f"particles: distance {gap:.4f}, evidence {evidence.mean():.3f} for {expected:.3f}")  # noqa: T201
    assert gap < TOLERANCE
    assert abs(evidence.mean() - expected) < noise < 0.1 * expected


def test_a_markov_chain_finds_the_posterior(generator, posterior):
    path = str(EXAMPLES / "07_metropolis_hastings.py")
    metropolis_hastings = runpy.run_path(path)["metropolis_hastings"]
    result = generator.generate(
        [PROMPT] * 40,
        strategy=metropolis_hastings,
        wish=WISH,
        strength=STRENGTH,
        moves=320,
        num_return_sequences=300,
        max_new_tokens=LENGTH,
        seed=list(range(40)),
        batch_size=40,
    )
    found = shares([(text, 1.0) for text in result.texts])

    gap = distance(shares(list(posterior.items())), found)
    print(f"chains: distance {gap:.4f}, {len(set(result.texts))} texts seen")  # noqa: T201
    assert 40 * 300 == len(result.completions)
    assert gap < TOLERANCE


def test_a_filter_that_forgets_its_weights_is_far_off(generator, posterior):
    result = generator.generate(
        [PROMPT] * 400, max_new_tokens=LENGTH, num_return_sequences=32, seed=7, batch_size=400
    )
    found = shares([(text, 1.0) for text in result.texts])

    assert distance(shares(list(posterior.items())), found) > 5 * TOLERANCE
