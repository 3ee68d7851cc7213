"""How far is drafted: as far as it pays, within what a row has earned."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Drafter
from gpt2sdk.session.drafting import MOST, ROW, SHARE, TOKEN, depth, price

NEW = 160


class Oracle(Drafter):
    """Knows what greedy rows write; it lies where it is told to."""

    answers: tuple[tuple[int, ...], ...] = ()
    lies: tuple[int, int] = (0, 0)
    price: float = 0.0

    def cost(self, session):
        return self.price

    def propose(self, rows, k):
        lines = []
        for history, index, length in zip(
            rows.histories(), rows.prompt_index.tolist(), rows.prompt_lengths.tolist(), strict=True
        ):
            at = len(history) - length
            line = list(self.answers[index][at : at + k])
            if self.lies[0] <= at < self.lies[1]:
                line = [(token + 1) % 11 for token in line]
            lines.append([*line, *[-1] * (k - len(line))])
        return torch.tensor(lines)


@pytest.fixture
def ask(generators):
    """Return what runs a call of so many rows with an oracle, and returns its usage."""
    generator, prompts = generators["table"]
    options = {"strategy": "greedy", "eos_token_id": None, "max_new_tokens": NEW}
    written = {}

    def run(rows=1, **oracle):
        mine = (prompts * 4)[:rows]
        if rows not in written:
            made = generator.generate(mine, batch_size=64, **options)
            written[rows] = tuple(each.tokens for each in made.completions)
        drafter = Oracle(answers=written[rows], **oracle)
        made = generator.generate(mine, batch_size=64, drafter=drafter, **options)
        assert written[rows] == tuple(each.tokens for each in made.completions)
        return made.usage

    return run


@pytest.mark.parametrize("rows", [1, 8, 32])
def test_what_is_always_right_is_drafted_to_the_end(rows, ask):
    usage = ask(rows)

    assert usage.drafted == usage.accepted
    assert usage.model_calls < NEW / 5


@pytest.mark.parametrize("rows", [1, 8, 32])
@pytest.mark.parametrize("cost", [0.0, 0.3])
def test_what_is_always_wrong_wastes_an_eighth_at_most(rows, cost, ask):
    usage = ask(rows, lies=(0, NEW), price=cost)
    share = (1 - price(rows, cost)) / SHARE

    assert NEW == usage.model_calls
    assert 0 == usage.accepted < usage.drafted
    assert usage.drafted <= share * usage.prompt_tokens + rows * share * NEW


def test_a_good_phase_does_not_pay_for_a_bad_one(ask):
    usage = ask(lies=(80, NEW))

    # At most sixteen tokens on credit, then one for each eight.
    assert usage.accepted > 60
    assert usage.drafted - usage.accepted <= MOST + 80 / SHARE + MOST


def test_what_becomes_right_late_is_noticed(ask):
    late = ask(lies=(0, 80))

    assert late.accepted > 50
    assert late.model_calls < 80 + 40


def test_a_drafter_as_dear_as_the_model_is_never_asked(ask):
    assert 0 == ask(price=1.0).drafted


def test_many_rows_draft_less_far():
    reach = [depth(0.7, price(rows, 0.0)) for rows in (1, 4, 16, 64)]

    assert sorted(reach, reverse=True) == reach
    assert [8, 5, 3, 2] == reach


@given(st.integers(1, 200), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_last_token_that_is_proposed_pays_and_the_next_one_would_not(rows, cost, hope):
    least = price(rows, cost)
    reach = depth(hope, least)

    assert 0 <= reach <= MOST
    if reach:
        assert hope**reach >= least * (1 - 1e-9)
    if reach < MOST and least < 1:
        assert hope ** (reach + 1) <= least * (1 + 1e-9)


@given(st.integers(1, 200))
def test_the_price_is_what_a_pass_takes_longer_for_it(rows):
    before = 1 + ROW * (rows - 1)

    assert pytest.approx(TOKEN / (before / rows)) == price(rows, 0.0)
