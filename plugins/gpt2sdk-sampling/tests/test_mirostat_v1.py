"""The first mirostat: the published algorithm, token by token, and what it is for."""

import math

import pytest
import torch

from gpt2sdk.testing import choose, make_rows
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.mirostat_v1 import MirostatV1, keep

VOCAB_SIZE = 60


def published_count(probs, mu, ratios):
    """How many tokens the authors' program keeps of these sorted probabilities."""
    above = below = 0.0
    for i in range(min(ratios, len(probs) - 1)):
        step = math.log((i + 2) / (i + 1))
        above += math.log(probs[i] / probs[i + 1]) * step
        below += step**2
    s = above / below
    eps = s - 1
    k = ((eps * 2**mu) / (1 - len(probs) ** (-eps))) ** (1 / s)
    return min(round(k) + 1, len(probs))


def published(logits, mu, ratios, numbers):
    """Token and surprise of the authors' program, drawing in a race with a number for each."""
    probs = logits.double().softmax(-1).tolist()
    order = sorted(range(len(probs)), key=lambda token: -probs[token])
    kept = order[: published_count([probs[token] for token in order], mu, ratios)]
    token = min(kept, key=lambda token: numbers[token] / probs[token])
    return token, -math.log2(probs[token])


def follow(tau, eta, ratios, steps):
    """Run beside the authors' program, and return the surprise of each token."""
    rows = make_rows([[0]], seed=3)
    sampler = MirostatV1(mirostat_tau=tau, mirostat_eta=eta, mirostat_m=ratios)
    session = open_session([row.prompt for row in rows.records], sampler, vocab_size=VOCAB_SIZE)
    mu = 2 * tau
    surprises = []
    for _ in range(steps):
        logits = session.next_logits()
        numbers = session.rows.exponentials(range(VOCAB_SIZE), "mirostat_v1")[0].tolist()
        token, surprise = published(logits[0], mu, ratios, numbers)
        mu -= eta * (surprise - tau)
        chosen = session.choose(logits)
        assert [token] == chosen.tolist()
        session.append(chosen)
        surprises.append(surprise)
    return surprises


@pytest.mark.parametrize(
    ("tau", "eta", "ratios"), [(1.0, 0.3, 100), (3.0, 0.1, 20), (0.2, 1.0, 5), (2.0, 0.5, 1)]
)
def test_it_is_the_published_algorithm(tau, eta, ratios):
    follow(tau, eta, ratios, steps=30)


def test_the_surprise_settles_at_the_target():
    surprises = follow(tau=1.5, eta=0.2, ratios=100, steps=120)

    assert abs(sum(surprises[20:]) / 100 - 1.5) < 0.1


def test_tokens_that_are_out_have_no_part_in_the_estimate():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, VOCAB_SIZE, generator=generator)
    limit = torch.tensor([3.0], dtype=torch.float64)
    out = logits.clone()
    out[:, ::2] = -torch.inf
    probs = logits[0, 1::2].softmax(-1).sort(descending=True).values.tolist()
    # The vocabulary is still as large.
    above = sum(
        math.log(probs[i] / probs[i + 1]) * math.log((i + 2) / (i + 1))
        for i in range(len(probs) - 1)
    )
    s = above / sum(math.log((i + 2) / (i + 1)) ** 2 for i in range(len(probs) - 1))
    k = ((s - 1) * 2**3.0 / (1 - VOCAB_SIZE ** (1 - s))) ** (1 / s)

    assert round(k) + 1 == keep(out, limit, 100).isfinite().sum()


@pytest.mark.parametrize("logits", [[0.0] * 6, [0.0, -1e4, -1e4, -1e4, -1e4, -1e4]])
@pytest.mark.parametrize("mu", [-1e3, 0.0, 30.0, 1e4])
def test_extremes_leave_a_token(logits, mu):
    row = torch.tensor([logits])

    kept = keep(row, torch.tensor([mu], dtype=torch.float64), 100)

    assert kept.amax() == row.amax()


def test_a_token_that_could_not_be_drawn_leaves_the_limit_alone():
    sampler = MirostatV1(mirostat_tau=1.0, mirostat_eta=1.0)
    logits, before = torch.tensor([[9.0, 0.0, -1.0, -2.0]]), torch.tensor([0.2]).double()
    assert [[True, True, False, False]] == keep(logits, before, 100).isfinite().tolist()

    correct = sampler._correct  # noqa: SLF001 - what the column of limits is given
    kept, out = (correct(before, torch.tensor([token]), logits) for token in (1, 3))

    assert before.tolist() == out.tolist() == correct(before, torch.tensor([1]), None).tolist()
    assert kept < before


def test_a_token_ruled_out_is_never_drawn():
    logits = torch.full((200, 4), -torch.inf)
    logits[:, [1, 3]] = 0.0

    found = choose(MirostatV1(mirostat_tau=5.0), logits, make_rows([[0]] * 200))

    assert {1, 3} == set(found.tolist())
