"""Hidden states: there for who wants them, at each row's last scored position."""

import pytest
import torch

from gpt2sdk import LogitsProcessor, Session, strategy
from gpt2sdk_drafters.prompt_lookup import PromptLookup

A, B, C, D, END = 0, 1, 2, 3, 11


@strategy(hold=None, wants={"hidden_states"})
def looking(session: Session):
    """Leave the verbs to the test."""
    yield from ()


@strategy(hold=None)
def blind(session: Session):
    """Leave the verbs to the test."""
    yield from ()


def expected_states(model, layer, *histories):
    cache = model.make_cache(len(histories))
    return model.score(cache, histories, [1] * len(histories), [layer]).hidden_states[layer]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_states_are_those_after_each_rows_last_token(layer, open_session, table_model):
    session = open_session(["ab", "c"], looking)
    session.append([C, D])
    session.next_logits()
    session.fork([1, 0, 1])
    session.append([A, B, C])
    session.rewind([1, 0, 0])
    session.next_logits()

    expected = expected_states(table_model(), layer, [C, D], [A, B, C, B], [C, D, C])
    assert torch.equal(expected, session.rows.hidden_states(layer))
    assert torch.equal(expected[1:2], session.rows.select([1]).hidden_states(layer))


def test_a_row_that_just_finished_is_read_once_more(open_session, table_model):
    session = open_session(["a", "b"], looking)
    session.next_logits()
    session.append([END, C])
    session.next_logits()

    expected = expected_states(table_model(), 1, [A, END], [B, C])
    assert torch.equal(expected, session.rows.hidden_states(1))


def test_who_did_not_ask_gets_none(open_session):
    session = open_session(["a"], blind)
    session.next_logits()

    with pytest.raises(LookupError, match="declare wants"):
        session.rows.hidden_states(1)


class Reading(LogitsProcessor):
    """Adds what it reads to the logits of token 0."""

    wants = frozenset({"hidden_states"})

    def process(self, logits, rows):
        return logits.index_add(1, torch.tensor([A]), rows.hidden_states(1)[:, :1])


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_states_are_the_same_with_a_drafter_and_in_refilled_rows(batch_size, run, table_model):
    options = {"chain": [Reading()], "max_new_tokens": 40, "stop": ("aba",)}
    prompts = ["abcabcabcabcabcabcabcabc", "d" * 20, "b", "cc"]
    plain = run(prompts, model=table_model(order=2, scale=5.0), **options)
    drafted = run(
        prompts,
        model=table_model(order=2, scale=5.0),
        drafter=PromptLookup(),
        batch_size=batch_size,
        **options,
    )

    assert plain.essence == drafted.essence
    assert drafted.usage.accepted > 0
