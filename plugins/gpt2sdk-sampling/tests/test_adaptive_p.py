"""Adaptive-p: llama.cpp's algorithm, token by token, and what it is for."""

import math

import pytest
import torch

from gpt2sdk.testing import choose, make_rows
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.adaptive_p import AdaptiveP

VOCAB_SIZE = 50


class Published:
    """llama.cpp's sampler, drawing in a race with a number for each token."""

    def __init__(self, target, decay):
        self.target, self.decay = target, decay
        self.weighted, self.total = target / (1 - decay), 1 / (1 - decay)

    def draw(self, logits, numbers):
        probs = logits.double().softmax(-1).tolist()
        goal = min(1.0, max(0.0, 2 * self.target - self.weighted / self.total))
        found = []
        for p in probs:
            x = abs(p - goal) / 0.3
            found.append(math.exp(5 - 10 * x * x / (1 + x)) if p > 0 else 0.0)
        times = [n / f if f else math.inf for n, f in zip(numbers, found, strict=True)]
        token = times.index(min(times))
        self.weighted = probs[token] + self.decay * self.weighted
        self.total = 1 + self.decay * self.total
        return token, probs[token]


def follow(target, decay, steps, always=None):
    """Run beside llama.cpp's sampler, and return the probability of each token."""
    rows = make_rows([[0]], seed=3)
    sampler = AdaptiveP(adaptive_target=target, adaptive_decay=decay)
    session = open_session([row.prompt for row in rows.records], sampler, vocab_size=VOCAB_SIZE)
    published = Published(target, decay)
    taken = []
    for _ in range(steps):
        logits = session.next_logits() if always is None else always
        numbers = session.rows.exponentials(range(VOCAB_SIZE), "adaptive_p")[0].tolist()
        token, probability = published.draw(logits[0], numbers)
        chosen = session.choose(logits)
        assert [token] == chosen.tolist()
        session.append(chosen)
        taken.append(probability)
    return taken


@pytest.mark.parametrize(("target", "decay"), [(0.5, 0.9), (0.1, 0.0), (0.9, 0.99), (0.0, 0.5)])
def test_it_is_the_published_algorithm(target, decay):
    follow(target, decay, steps=30)


def test_the_probability_settles_at_the_target():
    rest = VOCAB_SIZE - 5
    always = torch.tensor([[0.4, 0.25, 0.15, 0.1, 0.05, *[0.05 / rest] * rest]]).log()
    taken = follow(target=0.25, decay=0.9, steps=120, always=always)

    assert abs(sum(taken[20:]) / 100 - 0.25) < 0.05


def test_a_token_that_was_out_leaves_the_average_alone():
    average = torch.tensor([[2.0, 4.0]], dtype=torch.float64)
    logits = torch.tensor([[0.0, -torch.inf]])
    sampler = AdaptiveP(adaptive_decay=0.5)

    out = sampler._remember(average, torch.tensor([1]), logits)  # noqa: SLF001 - a column's accept
    drawn = sampler._remember(average, torch.tensor([0]), logits)  # noqa: SLF001
    unseen = sampler._remember(average, torch.tensor([0]), None)  # noqa: SLF001

    assert [[2.0, 4.0]] == out.tolist() == unseen.tolist()
    assert [[2.0, 3.0]] == drawn.tolist()


def test_a_token_ruled_out_is_never_drawn():
    logits = torch.full((200, 4), -torch.inf)
    logits[:, [1, 3]] = 0.0

    found = choose(AdaptiveP(adaptive_target=0.0), logits, make_rows([[0]] * 200))

    assert {1, 3} == set(found.tolist())
