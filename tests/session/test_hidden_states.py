"""Hidden states: there for who wants them, at each row's last scored position."""

import pytest
import torch

from gpt2sdk import LogitsProcessor, OptionError, Session, strategy
from gpt2sdk_drafters.prompt_lookup import PromptLookup

A, B, C, D, END = 0, 1, 2, 3, 11


@strategy(hold=None, wants=[0, 1, -1])
def looking(session: Session):
    """Leave the verbs to the test."""
    yield from ()


@strategy(hold=None)
def blind(session: Session):
    """Leave the verbs to the test."""
    yield from ()


def verbs(session: Session):
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

    with pytest.raises(LookupError, match="layer 1 were not kept: name it in wants"):
        session.rows.hidden_states(1)


def test_only_layers_that_are_named_are_kept(open_session, table_model):
    session = open_session(
        ["ab", "c"], strategy(hold=None, wants=lambda model: [-model.layers])(verbs)
    )
    session.next_logits()

    assert {1} == {*session.course.main.rows[0].known.scores.hidden_states}
    assert torch.equal(session.rows.hidden_states(1), session.rows.hidden_states(-2))
    for layer in (0, 2, -1):
        with pytest.raises(LookupError, match=f"layer {layer} were not kept"):
            session.rows.hidden_states(layer)


def test_a_request_that_is_over_has_its_layers_kept_no_longer(open_session, finish):
    session = open_session(["ab", "c"], chain=[[Reading(layer=2), Reading(layer=0)]])
    session.next_logits()
    assert [0, 2] == session.course.main.layers
    session.course.end(next(iter(session.course.requests)), "strategy")

    assert [0] == session.course.main.layers


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_refused_before_work_starts(layer, open_session):
    said = f"of layer {layer}: expected a layer from 0 to 2, or from -1, the last, to -3"
    with pytest.raises(OptionError, match=f"reading: hidden states {said}"):
        open_session(["ab"], chain=[Reading(layer=layer)])
    with pytest.raises(OptionError, match=f"verbs: hidden states {said}"):
        open_session(["ab"], strategy(wants=[layer])(verbs))


class Reading(LogitsProcessor):
    """Adds what it reads to the logits of token 0."""

    layer: int = 1

    def wants(self, model):
        return [self.layer]

    def process(self, logits, rows):
        return logits.index_add(1, torch.tensor([A]), rows.hidden_states(self.layer)[:, :1])


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
