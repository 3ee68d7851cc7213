"""What truncations are made of, against what it stands for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk_sampling.cut import cut_below
from gpt2sdk_sampling.descending import descending
from gpt2sdk_sampling.entropy import entropies, log_total
from gpt2sdk_sampling.largest import largest

LOGITS = {
    "random": lambda generator, shape: 3.0 * torch.randn(shape, generator=generator),
    "tied": lambda generator, shape: torch.randint(-3, 4, shape, generator=generator).float(),
    "mostly out": lambda generator, shape: torch.randn(shape, generator=generator).masked_fill(
        torch.rand(shape, generator=generator) < 0.999, -torch.inf
    ),
    "equal": lambda _, shape: torch.zeros(shape),
}


@pytest.mark.parametrize("kind", LOGITS)
@pytest.mark.parametrize("width", [1, 7, 1025, 5000, 50257])
@pytest.mark.parametrize("count", [1, 2, 50, 100, 390, 5000])
def test_the_largest_are_those_of_a_search_through_all(kind, width, count):
    logits = LOGITS[kind](torch.Generator().manual_seed(count), (3, width))

    assert torch.equal(logits.topk(min(count, width)).values, largest(logits, count))


@pytest.mark.parametrize("kind", LOGITS)
def test_descending_logits_are_sorted(kind):
    logits = LOGITS[kind](torch.Generator().manual_seed(1), (3, 5000))

    assert torch.equal(logits.sort(-1, descending=True).values, descending(logits))


@given(
    logits=st.lists(st.floats(-50, 50, width=32) | st.just(-torch.inf), min_size=1, max_size=20),
    data=st.data(),
)
def test_what_is_below_goes_and_nothing_else(logits, data):
    row = torch.tensor([logits])
    least = torch.tensor([[data.draw(st.sampled_from(logits) | st.floats(-60, 60, width=32))]])

    assert torch.equal(row.masked_fill(row < least, -torch.inf), cut_below(row, least))


def test_each_row_has_its_own_least():
    logits, least = torch.tensor([[1.0, 2.0, 3.0]] * 3), torch.tensor([[2.0], [3.5], [-torch.inf]])

    assert [[False, True, True], [False] * 3, [True] * 3] == cut_below(
        logits, least
    ).isfinite().tolist()


@pytest.mark.parametrize("kind", ["random", "tied", "equal"])
def test_entropies_are_those_of_the_definition(kind):
    logits = LOGITS[kind](torch.Generator().manual_seed(3), (5, 300))
    logits[:, ::3] = -torch.inf
    logits[4, 1:] = -torch.inf
    logits[4, 0] = 2.0
    exact = logits.double().softmax(-1)

    nats, total = entropies(logits)

    expected = torch.special.entr(exact).sum(-1, keepdim=True)
    torch.testing.assert_close(expected, nats, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits.logsumexp(-1, keepdim=True), total)
    assert torch.equal(total, log_total(logits))
