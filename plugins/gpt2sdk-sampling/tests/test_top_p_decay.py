"""A nucleus that shrinks: at each token, down to a least mass, until a reset."""

import pytest
import torch

from gpt2sdk import OptionError
from gpt2sdk.testing import make_rows, process
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.top_p import TopP

VOCAB_SIZE = 40


def masses(decay, least, resets, tokens, first=0.9):
    """The mass at each token, as TensorRT-LLM has it."""
    found = [first]
    for token in tokens:
        found.append(first if token in resets else max(found[-1] * decay, least))
    return found


def rows_after(tokens, seed=5):
    return make_rows([[0, *tokens]], prompt_lengths=[1], seed=seed)


@pytest.mark.parametrize("decay", [1.0 - 1e-3, 0.9, 0.3])
@pytest.mark.parametrize("resets", [(), (7,), (1, 7)])
def test_the_nucleus_is_that_of_the_decayed_mass(decay, resets):
    logits = torch.randn(1, VOCAB_SIZE, generator=torch.Generator().manual_seed(2))
    tokens = [3, 7, 2, 2, 1, 4, 7, 9, 9, 9]
    decaying = TopP(top_p=0.9, top_p_decay=decay, top_p_min=0.2, top_p_reset_ids=list(resets))

    for count, mass in enumerate(masses(decay, 0.2, resets, tokens)):
        expected = process(TopP(top_p=mass), logits)
        found = process(decaying, logits, rows_after(tokens[:count]))
        assert torch.equal(expected, found), count


def test_it_may_begin_with_the_whole_mass():
    logits = torch.randn(1, VOCAB_SIZE, generator=torch.Generator().manual_seed(2))
    decaying = TopP(top_p=1.0, top_p_decay=0.5)

    assert torch.equal(logits, process(decaying, logits, rows_after([])))
    assert torch.equal(process(TopP(top_p=0.5), logits), process(decaying, logits, rows_after([3])))


def test_rows_decay_by_themselves():
    logits = torch.randn(1, VOCAB_SIZE, generator=torch.Generator().manual_seed(2))
    rows = make_rows([[0], [0, 1], [0, 1, 1]], prompt_lengths=[1, 1, 1])

    found = process(TopP(top_p=0.8, top_p_decay=0.5), logits.expand(3, -1), rows)

    expected = [process(TopP(top_p=mass), logits) for mass in (0.8, 0.4, 0.2)]
    assert torch.equal(torch.cat(expected), found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0.5, "top_p_decay": 0.9, "top_p_min": 0.6}, "expects top_p_min up to top_p"),
        ({"top_p": 0.5, "top_p_reset_ids": [3]}, "for a top_p_decay below 1"),
        ({"top_p": 0.5, "top_p_min": 0.2}, "for a top_p_decay below 1"),
        ({"top_p": 0.5, "top_p_decay": 0.0}, "top_p_decay"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        TopP(**options)


def test_a_reset_needs_a_token_that_exists():
    session = open_session([row.prompt for row in make_rows([[0]]).records], vocab_size=4)

    with pytest.raises(OptionError, match="top_p_reset_ids names token 9: expected an id below 4"):
        TopP(top_p=0.9, top_p_decay=0.9, top_p_reset_ids=[9]).start(session)
