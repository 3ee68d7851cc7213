"""The edge of a nucleus, found among few tokens, is the one that sorting all would find."""

import math

import pytest
import torch

from gpt2sdk_sampling.nucleus import reach
from gpt2sdk_sampling.nucleus_edge import nucleus_edge


def kept(logits, mass):
    best = logits.amax(-1, keepdim=True)
    distance = best - logits
    return distance <= reach(distance, (-distance).exp(), mass)


@pytest.mark.parametrize("mass", [0.01, 0.5, 0.95])
@pytest.mark.parametrize("spread", [0.1, 2.0, 3.0, 8.0])
@pytest.mark.parametrize("left", [1, 50, 5000, 30000])
def test_few_tokens_show_the_same_edge_as_all_of_them(mass, spread, left):
    logits = spread * torch.randn(3, 30000, generator=torch.Generator().manual_seed(left))
    logits = logits.masked_fill(logits < logits.topk(left).values[:, -1:], -math.inf)
    expected = kept(logits, mass)
    assert torch.equal(expected, logits >= nucleus_edge(logits, mass))


def test_each_row_may_have_a_mass_of_its_own():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(2, 4)
    masses = torch.tensor([[0.4], [0.9]], dtype=torch.float64)
    assert [1, 3] == (logits >= nucleus_edge(logits, masses)).sum(-1).tolist()


@pytest.mark.parametrize("width", [4, 30000])
def test_a_row_without_tokens_does_not_stop_its_neighbour(width):
    logits = torch.full((2, width), -math.inf)
    logits[1, :2] = 0.0
    edges = nucleus_edge(logits, 0.9)
    assert (-math.inf, 0.0) == (edges[0, 0].item(), edges[1, 0].item())
