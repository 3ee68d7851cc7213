"""The verbs, one at a time, with values that can be checked by hand."""

import pytest
import torch

from gpt2sdk import LogitsProcessor, PluginContractError, Session, strategy
from gpt2sdk.race import NO_TOKEN
from gpt2sdk.rng import purpose_key, uniform

A, B, C, D, END = 0, 1, 2, 3, 11


@strategy(hold=None)
def by_hand(session: Session):
    """Leave the verbs to the test."""
    yield from ()


@strategy(rows_independent=True, hold=2)
def by_hand_alone(session: Session):
    """Leave the verbs to the test, which treats rows as independent."""
    yield from ()


def new_tokens(session):
    return [row.new_tokens for row in session.rows.records]


def expected_logits(model, *histories):
    cache = model.make_cache(len(histories))
    return model.score(cache, histories, [1] * len(histories)).logits


def test_next_logits_are_the_models_at_each_rows_end(open_session, table_model):
    session = open_session(["abc", "d"], by_hand)
    session.append([D, A])

    expected = expected_logits(table_model(), [A, B, C, D], [D, A])
    assert torch.equal(expected, session.next_logits())


def test_next_logits_runs_the_model_only_for_what_is_new(open_session, table_model):
    model = table_model()
    session = open_session(["abc", "d"], by_hand, model=model)
    session.next_logits()
    session.next_logits()
    assert (1, 4) == (model.calls, model.tokens_fed)

    session.append([A, -1])
    session.append([B, -1])
    session.next_logits()
    assert (2, 6) == (model.calls, model.tokens_fed)


def test_rows_of_one_prompt_share_its_prefill(open_session, table_model):
    model = table_model()
    session = open_session(["abcdefgh"], by_hand, model=model)
    session.fork([0, 0, 0])
    session.next_logits()

    assert (1, 8) == (model.calls, model.tokens_fed)


def test_append_takes_one_token_per_row_and_minus_one_takes_none(open_session):
    session = open_session(["a", "b", "c"], by_hand)
    step = session.append(torch.tensor([B, -1, D]))

    assert [[B], [], [D]] == new_tokens(session)
    assert (0, (B, -1, D)) == (step.number, step.tokens)


def test_finished_rows_keep_their_place_take_nothing_and_have_zeros(open_session):
    session = open_session(["a", "b"], by_hand)
    session.append([END, A])
    step = session.append([C, C])

    assert [[END], [A, C]] == new_tokens(session)
    assert (-1, C) == step.tokens
    assert ["end_token", None] == session.rows.finish_reason
    assert not session.next_logits()[0].any()
    assert session.running


def test_rows_end_by_end_token_before_stop_string_before_length(open_session):
    session = open_session(["a"] * 4, by_hand, stop=("cd",), max_new_tokens=2)
    session.append([C, C, A, C])
    session.append([END, D, A, A])

    assert ["end_token", "stop_string", "length", "length"] == session.rows.finish_reason
    assert not session.running


@pytest.mark.parametrize("tokens", [[A], [A, B, C], [12, A], [-2, A]])
def test_append_refuses_a_wrong_number_of_rows_or_a_token_out_of_range(tokens, open_session):
    session = open_session(["a", "b"], by_hand)

    with pytest.raises(PluginContractError):
        session.append(tokens)


def test_finish_ends_rows_where_they_stand_and_overrides_no_reason(open_session):
    session = open_session(["a"] * 4, by_hand)
    session.append([END, B, B, B])
    session.finish(torch.tensor([0, 1]))
    session.finish([2, 1], "settled")

    assert ["end_token", "strategy", "settled", None] == session.rows.finish_reason
    assert [True, True, True, False] == session.rows.finished.tolist()
    assert (-1, -1, -1, C) == session.append([C] * 4).tokens
    assert [[END], [B], [B], [B, C]] == new_tokens(session)
    assert not session.next_logits()[:3].any()


def test_a_row_may_finish_before_its_first_token(open_session, table_model):
    model = table_model()
    session = open_session(["a", "b"], by_hand, model=model)
    session.finish([0])
    session.next_logits()

    assert (1, 1) == (model.calls, model.tokens_fed)


def test_rows_that_all_finish_by_decision_end_the_session(open_session):
    session = open_session(["a", "b"], by_hand)
    session.finish(range(2))

    assert not session.running


def test_forks_keep_an_end_by_decision_and_a_rewind_takes_it_back(open_session):
    session = open_session(["a", "b"], by_hand)
    session.append([B, C])
    session.finish([1])
    session.fork([1, 1, 0])
    assert ["strategy", "strategy", None] == session.rows.finish_reason

    session.rewind([1, 0, 0])
    assert [None, "strategy", None] == session.rows.finish_reason


@pytest.mark.parametrize("seats", [[2], [-1]])
def test_finish_refuses_a_place_where_no_row_is(seats, open_session):
    session = open_session(["a", "b"], by_hand)

    with pytest.raises(PluginContractError, match="finish was given"):
        session.finish(seats)


@pytest.mark.parametrize("reason", ["error", ""])
def test_finish_refuses_what_is_no_reason(reason, open_session):
    session = open_session(["a"], by_hand)

    with pytest.raises(PluginContractError, match="finish was given the reason"):
        session.finish([0], reason)
    assert [None] == session.rows.finish_reason


def test_completions_are_what_rows_would_be_handed_in_as(open_session, finish):
    session = open_session(["a", "a", "a"], by_hand, stop=("cd",))
    for tokens in ([B, C, C], [END, B, D]):
        session.append(tokens)
    made = session.completions([2, 0, 1])

    assert ["", "b", "cb"] == [each.text for each in made]
    assert [(C, D), (B, END), (C, B)] == [each.tokens for each in made]
    assert ["stop_string", "end_token", "strategy"] == [each.finish_reason for each in made]
    assert ["b", "cb", "cd"] == session.texts()
    ended = [each.completion for each in finish(session)]
    assert [made[1].text, made[2].text, made[0].text] == [each.text for each in ended]


def test_completions_refuse_a_place_where_no_row_is(open_session):
    session = open_session(["a"], by_hand)

    with pytest.raises(PluginContractError, match="completions was given"):
        session.completions([1])


def test_fork_copies_rows_in_any_order_finished_ones_too(open_session, table_model):
    session = open_session(["a", "b"], by_hand)
    session.append([B, END])
    session.fork([1, 0, 0])

    assert [[END], [B], [B]] == new_tokens(session)
    assert ["end_token", None, None] == session.rows.finish_reason
    assert [1, 0, 0] == session.rows.prompt_index.tolist()
    expected = expected_logits(table_model(), [A, B])[0]
    assert [expected.tolist()] * 2 == session.next_logits()[1:].tolist()


def test_copies_go_their_own_ways(open_session, table_model):
    session = open_session(["a"], by_hand)
    session.next_logits()
    session.fork([0, 0])
    session.append([B, C])
    session.fork([1, 0, 1])
    session.append([A, A, D])

    assert [[C, A], [B, A], [C, D]] == new_tokens(session)
    expected = expected_logits(table_model(), [A, C, A], [A, B, A], [A, C, D])
    assert torch.equal(expected, session.next_logits())


def test_fork_append_fork_costs_one_model_call(open_session, table_model):
    model = table_model()
    session = open_session(["a"], by_hand, model=model)
    session.next_logits()
    session.fork([0] * 6)
    session.append(range(6))
    session.fork([5, 3])
    session.next_logits()

    assert (2, 3) == (model.calls, model.tokens_fed)


def test_fork_refuses_to_lose_a_prompt_that_has_no_completion(open_session):
    session = open_session(["a", "b"], by_hand)

    with pytest.raises(PluginContractError, match="by_hand dropped prompt 1"):
        session.fork([0])


@pytest.mark.parametrize("parents", [[2], [-1]])
def test_fork_refuses_a_place_where_no_row_is(parents, open_session):
    session = open_session(["a", "b"], by_hand)

    with pytest.raises(PluginContractError, match="0 to 1"):
        session.fork(parents)


def test_rewind_takes_back_tokens_and_their_end(open_session, table_model):
    session = open_session(["ab", "c"], by_hand, stop=("da",))
    for tokens in ([D, A], [A, END]):
        session.append(tokens)
    assert ["stop_string", "end_token"] == session.rows.finish_reason

    session.rewind([1, 2])
    assert [[D], []] == new_tokens(session)
    assert [None, None] == session.rows.finish_reason
    assert ["d", ""] == session.texts()
    assert torch.equal(expected_logits(table_model(), [A, B, D], [C]), session.next_logits())


def test_what_was_scored_stays_usable_if_the_same_tokens_return(open_session, table_model):
    model = table_model()
    session = open_session(["a"], by_hand, model=model)
    for token in (B, C, D):
        session.append([token])
    session.next_logits()
    session.rewind([3])
    for token in (B, C, D):
        session.append([token])

    assert torch.equal(expected_logits(table_model(), [A, B, C, D]), session.next_logits())
    assert 5 == model.tokens_fed, "the last token is read again, to score it"


def test_rewind_never_reaches_into_the_prompt(open_session):
    session = open_session(["abc"], by_hand)
    session.append([D])

    with pytest.raises(PluginContractError, match="1 new tokens, 2 cannot be taken back"):
        session.rewind([2])


def test_text_that_was_certain_cannot_be_taken_back(open_session):
    session = open_session(["a"], by_hand_alone)
    for token in (B, C, D):
        session.append([token])
    session.rewind([2])
    session.append([A])

    with pytest.raises(PluginContractError, match="certain up to token 1"):
        session.rewind([2])


def test_a_uniform_number_is_a_function_of_seed_lane_draws_and_purpose(open_session):
    session = open_session(["a", "b"], by_hand, seeds=[7, 8])
    key = purpose_key("accept")

    assert [uniform(7, 0, 0, key), uniform(8, 0, 0, key)] == session.uniform("accept").tolist()


def test_copies_draw_differently_and_a_rewind_gives_no_number_back(open_session):
    session = open_session(["a"], by_hand, seeds=[7])
    key = purpose_key("accept")
    session.append([B])
    session.append([B])
    session.rewind([1])
    session.fork([0, 0])

    assert [uniform(7, lane, 2, key) for lane in (0, 1)] == session.uniform("accept").tolist()


def test_a_copy_goes_on_from_the_largest_draw_of_its_prompt(open_session):
    session = open_session(["a", "b"], by_hand, seeds=[7, 8])
    session.fork([0, 0, 1])
    session.append([B, -1, -1])
    session.fork([1, 2, 1])
    key = purpose_key("accept")

    expected = [uniform(7, 0, 1, key), uniform(8, 0, 0, key), uniform(7, 1, 1, key)]
    assert expected == session.uniform("accept").tolist()


def test_a_race_draws_what_the_multinomial_sampler_does(open_session):
    session = open_session(["a", "b"], by_hand, seeds=[7, 8])
    logits = session.next_logits()

    assert session.choose(logits).tolist() == session.race(logits, "multinomial").tolist()
    assert session.rows.race(logits, "mine").tolist() == session.race(logits, "mine").tolist()


def test_a_token_that_could_not_be_drawn_is_refused_when_it_is_read(open_session):
    session = open_session(["a", "b"], by_hand)

    with pytest.raises(PluginContractError, match=r"row 1 had no token to draw: .* -inf"):
        session.append([B, NO_TOKEN])


class Nothing(LogitsProcessor):
    def process(self, logits, rows):
        return torch.full_like(logits, -torch.inf)


def test_an_emptied_row_ends_alone_and_names_the_processor(open_session):
    session = open_session(["a", "b"], by_hand, chain=[[Nothing(), None]])

    logits = session.process(session.next_logits())
    step = session.append(session.choose(logits))

    assert [logits[0].isinf().all(), logits[1].isfinite().all()] == [True, True]
    assert [True, False] == [token == -1 for token in step.tokens]
    assert ["error", None] == session.rows.finish_reason
    assert session.rows.records[0].failure.what == "nothing left it no token to choose from"
