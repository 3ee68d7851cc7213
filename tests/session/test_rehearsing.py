"""What rows would pick, had they gone on: the same as they pick then, and nothing is changed."""

import pytest
import torch

from gpt2sdk import PluginContractError
from gpt2sdk.defaults import Multinomial
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty
from gpt2sdk_sampling.temperature import Temperature
from gpt2sdk_sampling.top_k import TopK

CHAIN = [Temperature(temperature=1.7), RepetitionPenalty(repetition_penalty=1.3), TopK(top_k=4)]


def go_on(session, trial, rows, steps):
    """Return what the trial picks of the session's own logits, step by step, and what is picked."""
    guessed, picked = [], []
    for _ in range(steps):
        logits = session.next_logits()
        guessed.append(trial.choose(logits[list(rows.index)]).tolist())
        tokens = session.choose(session.process(logits)).tolist()
        picked.append([tokens[seat] for seat in rows.index])
        trial.append(guessed[-1])
        session.append(tokens)
    return guessed, picked


@pytest.mark.parametrize("chosen", [[0, 1, 2], [2], [2, 0]])
def test_a_trial_picks_what_is_picked_later(open_session, chosen):
    session = open_session(["abc", "ba", "jj"], chain=CHAIN, eos_token_ids=frozenset())
    session.append(session.choose(session.process(session.next_logits())))
    rows = session.rows.select(chosen)

    guessed, picked = go_on(session, session.rehearse(rows), rows, 6)

    assert picked == guessed


def test_a_trial_leaves_the_rows_as_they_are(open_session):
    session = open_session(["abc", "ba"], chain=CHAIN)
    before = [list(history) for history in session.rows.histories()]
    logits = session.next_logits()
    expected = session.choose(session.process(logits)).tolist()
    trial = session.rehearse(session.rows)
    for _ in range(3):
        trial.append(trial.choose(logits).tolist())

    assert before == session.rows.histories()
    assert expected == session.choose(session.process(logits)).tolist()
    assert [6, 5] == trial.rows.lengths.tolist()


def test_rows_that_take_nothing_stay_where_they_are(open_session):
    session = open_session(["abc", "ba"])
    trial = session.rehearse(session.rows)
    trial.append([3, -1])

    assert [[0, 1, 2, 3], [1, 0]] == trial.rows.histories()


def test_a_row_without_a_token_picks_none(open_session):
    session = open_session(["abc", "ba"], chain=CHAIN)
    logits = session.next_logits().clone()
    logits[0] = -torch.inf

    assert [-1, True] == [
        value if at == 0 else value >= 0
        for at, value in enumerate(session.rehearse(session.rows).choose(logits).tolist())
    ]


class Choosy(Multinomial):
    """Refuses everything."""

    def choose(self, logits, rows):
        raise PluginContractError("no")


def test_what_raises_picks_nothing(open_session):
    session = open_session(["abc", "ba"], sampler=Choosy())
    trial = session.rehearse(session.rows)

    assert [-1, -1] == trial.choose(session.next_logits()).tolist()


def test_processors_with_a_memory_are_passed_over(open_session):
    from gpt2sdk import LogitsProcessor

    class Remembering(LogitsProcessor):
        """Has a memory, and no opinion but this one."""

        def start(self, session):
            session.per_row(lambda prompt: 0, lambda old, token, _: old + 1)
            return self

        def process(self, logits, rows):
            return logits.index_fill(1, torch.tensor([0]), 100.0)

    session = open_session(["abc"], chain=[Remembering()])
    logits = torch.zeros(1, 12)
    logits[0, 5] = 50.0

    assert [5] == session.rehearse(session.rows).choose(logits).tolist()
    assert [0] == session.choose(session.process(logits)).tolist()
