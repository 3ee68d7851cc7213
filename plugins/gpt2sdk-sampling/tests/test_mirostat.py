"""Mirostat: the published algorithm, token by token, and what it is for."""

import math

import pytest
import torch

from gpt2sdk.testing import choose, make_rows
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.mirostat import Mirostat

VOCAB_SIZE = 50


def published(logits, mu, numbers):
    """Token and surprise of the authors' program, drawing in a race with a number for each."""
    probs = logits.double().softmax(-1).tolist()
    kept = [p if -math.log2(p) <= mu else 0.0 for p in probs]
    if not any(kept):
        kept[probs.index(max(probs))] = 1.0
    kept = [p / sum(kept) for p in kept]
    times = [number / p if p else math.inf for number, p in zip(numbers, kept, strict=True)]
    token = times.index(min(times))
    return token, -math.log2(kept[token])


def running(tau, eta):
    rows = make_rows([[0]], seed=3)
    return open_session(
        [row.prompt for row in rows.records],
        Mirostat(mirostat_tau=tau, mirostat_eta=eta),
        vocab_size=VOCAB_SIZE,
    )


def follow(tau, eta, steps):
    """Run beside the authors' program, and return the surprise of each token."""
    session = running(tau, eta)
    mu = 2 * tau
    surprises = []
    for _ in range(steps):
        logits = session.next_logits()
        numbers = session.rows.exponentials(range(VOCAB_SIZE), "mirostat")[0].tolist()
        token, surprise = published(logits[0], mu, numbers)
        mu -= eta * (surprise - tau)
        chosen = session.choose(logits)
        assert [token] == chosen.tolist()
        session.append(chosen)
        surprises.append(surprise)
    return surprises


@pytest.mark.parametrize(("tau", "eta"), [(1.0, 0.3), (3.0, 0.1), (0.2, 1.0)])
def test_it_is_the_published_algorithm(tau, eta):
    follow(tau, eta, steps=30)


def test_the_surprise_settles_at_the_target():
    surprises = follow(tau=1.5, eta=0.2, steps=120)

    assert abs(sum(surprises[20:]) / 100 - 1.5) < 0.1


def test_a_token_from_elsewhere_leaves_the_limit_alone():
    session = running(tau=1.0, eta=0.5)
    logits = torch.zeros(1, VOCAB_SIZE)
    logits[0, 3] = 100.0

    assert [3] == session.choose(logits).tolist()
    session.append([4])
    assert [3] == session.choose(logits).tolist()


def test_a_token_ruled_out_is_never_drawn():
    logits = torch.full((200, 4), -torch.inf)
    logits[:, [1, 3]] = 0.0

    found = choose(Mirostat(mirostat_tau=5.0), logits, make_rows([[0]] * 200))

    assert {1, 3} == set(found.tolist())
