"""Hidden histories: hidden states at every position, through every verb, for who opened one."""

import weakref

import pytest
import torch

from gpt2sdk import LogitsProcessor, OptionError, Session, strategy
from gpt2sdk.session import reader
from gpt2sdk.testing import tiny_gpt2
from gpt2sdk_drafters.prompt_lookup import PromptLookup
from gpt2sdk_strategies.beam import beam

A, B, C, D, END = 0, 1, 2, 3, 11


@strategy(hold=None, wants=[1])
def looking(session: Session):
    """Leave the verbs to the test."""
    yield from ()


def states_of(model, layer, tokens):
    cache = model.make_cache(1)
    return model.score(cache, [tokens], [len(tokens)], [layer]).hidden_states[layer]


def assert_holds(session, history, layer, *read):
    """The history holds the states of exactly these tokens, for each row."""
    expected = [states_of(session.model, layer, list(tokens)) for tokens in read]

    assert [len(tokens) for tokens in read] == [len(each) for each in history[session.rows]]
    assert all(map(torch.equal, expected, history[session.rows]))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_history_has_a_line_for_each_token_that_was_read(layer, open_session):
    session = open_session(["abc", "d"], looking)
    history = session.hidden_history(layer)
    session.next_logits()
    session.append([A, B])

    assert_holds(session, history, layer, [A, B, C], [D])

    session.next_logits()

    assert_holds(session, history, layer, [A, B, C, A], [D, B])
    assert torch.equal(history[session.rows][1], history[session.rows.select([1])][0])


def test_a_history_follows_forks_and_rewinds(open_session):
    session = open_session(["abc", "d"], looking)
    history = session.hidden_history(2)
    session.next_logits()
    session.fork([1, 0, 0, 1])
    session.append([A, B, C, D])
    session.next_logits()
    session.append([A, B, -1, D])
    session.next_logits()
    session.rewind([2, 1, 0, 0])

    assert_holds(session, history, 2, [D], [A, B, C, B], [A, B, C, C], [D, D, D])

    session.append([C, D, D, D])
    session.fork([3, 0, 1])
    session.next_logits()

    assert_holds(session, history, 2, [D, D, D, D], [D, C], [A, B, C, B, D])


def test_a_row_that_just_finished_is_read_once_more(open_session):
    session = open_session(["a", "b"], looking)
    history = session.hidden_history(1)
    session.next_logits()
    session.append([END, C])
    session.next_logits()

    assert_holds(session, history, 1, [A, END], [B, C])


@pytest.mark.parametrize(("overflow", "lines"), [("error", 4), ("slide", 2)])
def test_the_end_of_a_full_window_is_read_where_rows_slide(
    overflow, lines, open_session, table_model
):
    model = table_model(context_length=4)
    session = open_session(["abcd"], looking, model=model, max_new_tokens=1, overflow=overflow)
    history = session.hidden_history(1)
    session.next_logits()
    session.append([C])
    session.next_logits()

    expected = [A, B, C, D] if overflow == "error" else [D, C]
    assert_holds(session, history, 1, expected)
    assert lines == len(history[session.rows][0])


def test_other_layers_are_not_kept(open_session):
    session = open_session(["a"], looking)
    history = session.hidden_history(1)
    session.next_logits()

    assert torch.equal(history[session.rows][0], session.rows.hidden_states(1))
    with pytest.raises(LookupError, match="name it in wants"):
        session.rows.hidden_states(0)


def test_several_layers_are_kept_side_by_side(open_session):
    session = open_session(["abc", "d"], looking)
    histories = {layer: session.hidden_history(layer) for layer in (2, 0)}
    session.next_logits()
    session.append([A, B])
    session.next_logits()

    for layer, history in histories.items():
        assert_holds(session, history, layer, [A, B, C, A], [D, B])


def test_nothing_is_kept_once_nobody_holds_a_history(open_session):
    session = open_session(["ab"], looking)
    history = session.hidden_history(1)
    session.next_logits()
    del history
    session.append([A])
    session.next_logits()

    assert 2 == len(session.course.main.rows[0].states.of(1, 9))


def test_scores_do_not_hold_the_logits_of_a_whole_prompt(open_session):
    session = open_session(["abcabcabc", "d"], looking)
    history = session.hidden_history(1)

    assert 2 == len(session.next_logits())
    assert 2 == len(session.course.main.rows[0].known.scores.logits)
    assert 9 == len(history[session.rows][0])


def test_long_prompts_are_read_in_several_calls(open_session, table_model, monkeypatch):
    monkeypatch.setattr(reader, "POSITIONS", 6)
    plain = open_session(["abc", "abcd", "d", "ab"], looking, model=table_model())
    session = open_session(["abc", "abcd", "d", "ab"], looking, model=table_model())
    history = session.hidden_history(2)

    assert torch.equal(plain.next_logits(), session.next_logits())
    assert (1, 3) == (plain.model.calls, session.model.calls)
    assert_holds(session, history, 2, [A, B, C], [A, B, C, D], [D], [A, B])


def test_a_history_is_opened_before_rows_are_read(open_session):
    session = open_session(["a"], looking)
    session.next_logits()

    with pytest.raises(LookupError, match="open it before"):
        session.hidden_history(1)


@pytest.mark.parametrize("layer", [-4, 3])
def test_a_history_is_of_a_layer_that_is_there(layer, open_session):
    with pytest.raises(OptionError, match=f"layer {layer}: expected a layer from 0 to 2, or"):
        open_session(["a"], looking).hidden_history(layer)


def test_a_row_that_was_never_read_has_none(open_session):
    session = open_session(["a"], looking)
    history = session.hidden_history(1)

    with pytest.raises(LookupError, match="never read"):
        history[session.rows]


def test_a_call_that_is_over_holds_no_states(open_session):
    session = open_session(["ab"], looking)
    history = session.hidden_history(1)
    session.next_logits()
    assert 2 == len(history[session.rows][0])
    kept = weakref.ref(session.course.main.rows[0].states)
    session.course.close()

    assert kept() is None


def remembering(session):
    history = session.hidden_history(1)
    while session.running:
        logits = session.next_logits()
        for row, states in zip(session.rows.records, history[session.rows], strict=True):
            assert row.finish_reason or len(row.tokens) == len(states)
        yield session.append(session.choose(logits))


@pytest.mark.parametrize("independent", [False, True])
def test_a_strategy_that_declares_it_has_prompts_read_once(independent, run, table_model):
    declared = strategy(rows_independent=independent, wants=[1])(remembering)
    plain = run(["abc", "d", "ee"], model=table_model())
    found = run(["abc", "d", "ee"], declared, model=table_model())

    assert plain.essence == found.essence
    # Rows that stay until the last is done are read to their last tokens.
    more = 0 if independent else 3
    assert plain.usage.tokens_fed + more == found.usage.tokens_fed


def test_a_strategy_that_declares_nothing_comes_too_late(run):
    with pytest.raises(LookupError, match=r"declare wants=\[1\]"):
        run(["abc"], strategy(rows_independent=True)(remembering))


class Mean(LogitsProcessor):
    """Adds the mean over a row's history to the logits of token 0."""

    def start(self, session):
        return MeanRun(session.hidden_history(1))


class MeanRun:
    """A mean at work."""

    def __init__(self, history):
        self.history = history

    def process(self, logits, rows):
        means = torch.stack([states.mean(0)[:1] for states in self.history[rows]])
        return logits.index_add(1, torch.tensor([A]), 3 * means.float())


PROMPTS = ["abcabcabcabcabcabcabcabc", "d" * 20, "b", "cc"]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("overflow", ["error", "slide"])
def test_histories_are_the_same_with_a_drafter_and_in_refilled_rows(
    batch_size, overflow, run, table_model
):
    window = 24 if overflow == "slide" else 1024
    options = {"chain": [Mean()], "max_new_tokens": 40, "stop": ("aba",), "overflow": overflow}
    plain, drafted = (
        run(
            PROMPTS,
            model=table_model(order=2, scale=5.0, context_length=window),
            num_return_sequences=2,
            **options,
            **more,
        )
        for more in ({}, {"drafter": PromptLookup(), "batch_size": batch_size})
    )

    assert plain.essence == drafted.essence
    assert drafted.usage.accepted > 0


class ByHand(LogitsProcessor):
    """`Mean` from scratch: every row is read anew at every step."""

    def process(self, logits, rows):
        means = torch.stack([states_of(MODEL, 1, row).mean(0)[:1] for row in rows.histories()])
        return logits.index_add(1, torch.tensor([A]), 3 * means.float())


MODEL = tiny_gpt2().double()


@pytest.mark.parametrize("strategy", [None, beam])
def test_histories_are_those_of_rows_read_anew(strategy, run):
    prompts = [[5, 6, 7, 8], [9], [3, 1, 3, 1, 3, 1, 3]]
    options = {"model": MODEL, "max_new_tokens": 12, "eos_token_ids": frozenset([40])}
    strategies = [] if strategy is None else [strategy]
    found = run(prompts, *strategies, chain=[Mean()], drafter=PromptLookup(), **options)
    expected = run(prompts, *strategies, chain=[ByHand()], **options)

    assert {place: each.tokens for place, each in expected.completions.items()} == {
        place: each.tokens for place, each in found.completions.items()
    }


def test_only_rows_that_it_acts_on_have_one(run, table_model):
    model = table_model()
    alone = run(["abc"], model=table_model(), chain=[Mean()])
    both = run(["abc", "dddd"], model=model, chain=[[Mean(), None]])

    assert alone[0, 0].tokens == both[0, 0].tokens
