"""Normalizers have the same bits in any company and on any threads."""

import pytest
import torch

from gpt2sdk.normalizer import log_normalizer

# Rows of this width are summed by several threads, where torch has its way.
WIDTH = 50_257


@pytest.fixture
def threads():
    """Return what sets how many threads torch has; put back at the end."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_has_the_same_bits_alone_in_company_and_on_any_threads(threads, dtype):
    logits = 3 * torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(0), dtype=dtype)
    threads(1)
    expected = logits.logsumexp(-1)

    for count in (1, 2, 3):
        threads(count)
        assert torch.equal(expected, log_normalizer(logits))
        assert torch.equal(expected, torch.cat([log_normalizer(row[None]) for row in logits]))


def test_torch_itself_sums_a_row_that_is_alone_in_parts(threads):
    threads(1)
    logits = 3 * torch.randn(64, WIDTH, generator=torch.Generator().manual_seed(0))
    expected = logits.logsumexp(-1)
    threads(3)

    assert not torch.equal(expected, torch.cat([row[None].logsumexp(-1) for row in logits]))
