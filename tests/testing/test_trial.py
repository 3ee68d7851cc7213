"""Components tried by hand act as they do in a call."""

import pytest
import torch

from gpt2sdk import LogitsProcessor, PluginContractError, Sampler, StoppingCriterion
from gpt2sdk.testing import choose, ends, make_rows, process, reweigh


class LastToken(LogitsProcessor):
    """Rules out the last token, and the one after the prompt's first."""

    def process(self, logits, rows):
        last = rows.tokens.gather(1, rows.lengths[:, None] - 1)
        return logits.scatter(1, last, -torch.inf)


class Dice(Sampler):
    """Picks a token by the row's number alone."""

    def choose(self, logits, rows):
        return (rows.uniform() * logits.shape[1]).long()


def test_a_processor_sees_the_rows_it_is_given():
    rows = make_rows([[0, 1], [2]], prompt_lengths=[1, 1])

    found = process(LastToken(), [[1.0, 1.0, 1.0]] * 2, rows)

    assert [[False, True, False], [False, False, True]] == found.isneginf().tolist()


def test_without_rows_each_has_the_token_0():
    assert [0.0, 0.6, 0.4] == reweigh(LastToken(), [0.5, 0.3, 0.2])


def test_a_sampler_draws_with_the_rows_seeds():
    rows = make_rows([[1]] * 5, seed=3, purpose="dice")
    expected = (rows.uniform() * 100).long().tolist()

    assert expected == choose(Dice(), torch.zeros(5, 100), rows).tolist()
    assert expected != choose(Dice(), torch.zeros(5, 100), make_rows([[1]] * 5, seed=4)).tolist()


def test_a_criterion_looks_at_rows_that_go_on():
    class Even(StoppingCriterion):
        def check(self, rows):
            return rows.lengths % 2 == 0

    assert [True, False] == ends(Even(), make_rows([[1, 2, 3, 4], [5]])).tolist()


def test_what_breaks_the_contract_is_an_error():
    class Broken(LogitsProcessor):
        def process(self, logits, rows):
            return logits * torch.nan

    with pytest.raises(PluginContractError, match=r"broken .* NaN"):
        process(Broken(), [[1.0, 2.0]])


def test_a_row_that_is_over_is_an_error():
    rows = make_rows([[0, 1]], eos_token_ids=[1])

    with pytest.raises(ValueError, match=r"the history they are given: .*end_token"):
        process(LastToken(), [[1.0, 1.0]], rows)
