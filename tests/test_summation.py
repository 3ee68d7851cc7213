"""Sums over the vocabulary have the same bits in any company and on any threads."""

import pytest
import torch

from gpt2sdk import row_sums
from gpt2sdk.generator.peeking import distributions
from gpt2sdk.testing import make_rows
from gpt2sdk_contrast.dola_layers import divergences
from gpt2sdk_sampling.entropy import entropies
from gpt2sdk_sampling.mirostat import _drawable
from gpt2sdk_sampling.p_less import PLess
from gpt2sdk_sampling.top_h import TopH
from gpt2sdk_sampling.top_n_sigma import TopNSigma, _deviation
from gpt2sdk_sampling.typical_p import TypicalP
from gpt2sdk_watermark.synthid_watermark import tournament

# Rows of this width are summed by several threads, where torch has its way.
WIDTH, ROWS = 50_257, 8


def logits_of(seed=0):
    """Return rows, one with tokens that are out."""
    logits = 3 * torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(seed))
    logits[0, ::3] = -torch.inf
    return logits


def contrasted(logits):
    """Return how far a single layer is from each row."""
    layers = (logits.roll(1, -1) / 2)[None].log_softmax(-1)
    return divergences(logits.log_softmax(-1), layers)[0]


def won(logits):
    """Return the shares of a tournament's winners."""
    words = (torch.arange(WIDTH) * 0x9E3779B97F4A7C1)[None].expand(len(logits), -1)
    return tournament(logits.softmax(-1, dtype=torch.float64), words, 30)


def peeked(logits):
    """Return the entropies that a look at the next token tells."""
    prompts = list(range(len(logits)))
    found = distributions(logits, 3, prompts, lambda _: "").values()
    return torch.tensor([each.entropy for each in found], dtype=torch.float64)


def processed(component):
    """Return what a processor makes of rows."""
    return lambda logits: component.process(logits, make_rows([[0]] * len(logits)))


SUMMING = {
    "row_sums": lambda logits: row_sums(logits.softmax(-1) * logits.exp()),
    "row_sums_in_float64": lambda logits: row_sums(logits.softmax(-1), torch.float64),
    "entropies": lambda logits: torch.cat(entropies(logits), -1),
    "deviation": _deviation,
    "mirostat": lambda logits: _drawable(logits, torch.full((len(logits),), 12.0)),
    "divergences": contrasted,
    "tournament": won,
    "next_token": peeked,
    "p_less": processed(PLess(p_less=True)),
    "top_n_sigma": processed(TopNSigma(top_n_sigma=1.0)),
    "typical_p": processed(TypicalP(typical_p=0.9)),
    "top_h": processed(TopH(top_h=0.5)),
}


@pytest.fixture
def threads():
    """Return what sets how many threads torch has; put back at the end."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", SUMMING)
def test_a_row_has_the_same_bits_alone_in_company_and_on_any_threads(threads, name):
    logits, summing = logits_of(), SUMMING[name]
    threads(1)
    expected = summing(logits)

    for count in (1, 2):
        threads(count)
        assert torch.equal(expected, summing(logits))
        assert torch.equal(expected, torch.cat([summing(row[None]) for row in logits]))


def test_sums_keep_the_axes_before(threads):
    threads(2)

    for shape in ((3,), (1, 3), (1, 1, 3), (2, 1, 3)):
        assert torch.equal(torch.full((*shape[:-1], 1), 3.0), row_sums(torch.ones(shape)))


def test_torch_itself_sums_a_row_that_is_alone_in_parts(threads):
    terms = logits_of().clamp(min=-9.0)
    threads(1)
    expected = terms.sum(-1)
    threads(2)

    assert not torch.equal(expected, torch.cat([row[None].sum(-1) for row in terms]))
