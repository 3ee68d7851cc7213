"""What comes out: completions, scores, deltas that stay true, and calls that end early."""

import pytest

from gpt2sdk import PluginContractError, Session, sample, strategy
from gpt2sdk.defaults import Greedy

A, B, C, D, END = 0, 1, 2, 3, 11


def writes(*texts, rows_independent=False, hold=None):
    """Make a strategy that writes these texts into its rows; `<` takes a token back."""

    @strategy(rows_independent=rows_independent, hold=hold)
    def writer(session: Session):
        """Write what is written."""
        for step in range(max(map(len, texts))):
            letters = [text[step : step + 1] for text in texts]
            backs = [letter == "<" for letter in letters]
            if any(backs):
                session.rewind([int(back) for back in backs])
            tokens = [
                -1 if letter in ("", "<") else "abcdefghij.$".index(letter) for letter in letters
            ]
            yield session.append(tokens)

    return writer


def told(outcome, prompt=0, sample_index=0):
    """Return the text in a row's deltas, one after another."""
    where = prompt, sample_index
    deltas = [each for each in outcome.deltas if (each.prompt_index, each.sample_index) == where]
    return [delta.text for delta in deltas if delta.text]


def test_rows_that_finish_are_the_completions_in_lane_order(run):
    @strategy(hold=None)
    def thrice(session: Session):
        """Fork each row into three that end at different steps."""
        session.fork([place for place in range(len(session.rows)) for _ in range(3)])
        for tokens in ([A, B, C], [END, A, A], [A, A, END]):
            yield session.append(tokens * 2)

    outcome = run(["a", "b"], thrice, num_return_sequences=3)

    expected = {
        (0, 0): ((A, END), "a", "end_token"),
        (0, 1): ((B, A, A), "baa", "strategy"),
        (0, 2): ((C, A, END), "ca", "end_token"),
    }
    expected |= {(1, lane): each for (_, lane), each in expected.items()}
    made = {
        place: (each.tokens, each.text, each.finish_reason)
        for place, each in outcome.completions.items()
    }
    assert expected == made


def test_each_prompt_keeps_its_best_submissions_earlier_ones_on_ties(run):
    @strategy(hold=None)
    def graded(session: Session):
        """Hand in a row's sequence at every step."""
        for token, score in ((A, 1.0), (B, 3.0), (C, 3.0), (D, 2.0)):
            yield session.append([token])
            session.submit([0], [score])

    outcome = run(["a"], graded, num_return_sequences=3)

    made = [(outcome[0, place].text, outcome[0, place].score) for place in range(3)]
    assert [("ab", 3.0), ("abc", 3.0), ("abcd", 2.0)] == made


def test_a_dropped_prompt_is_told_at_once(open_session):
    session = open_session(["a", "b"], writes("").component(), streaming=True)
    outbox = next(iter(session.course.requests)).outbox
    session.append([A, B])
    session.submit([1], [0.5])
    session.fork([0])

    assert [("b", 1)] == [(each.text, each.prompt_index) for each in outbox]


def test_text_is_told_as_soon_as_hold_more_tokens_are_there(run):
    outcome = run(["a"], writes("abcdef", hold=2), streaming=True)

    assert ["a", "b", "c", "d", "ef"] == told(outcome)


def test_nothing_is_told_before_the_end_without_a_hold(run):
    assert ["abcdef"] == told(run(["a"], writes("abcdef"), streaming=True))


def test_what_was_told_is_never_taken_back(run):
    outcome = run(["a"], writes("abcd<<ef<j", hold=2), streaming=True)

    assert "abej" == outcome[0, 0].text
    assert ["a", "b", "ej"] == told(outcome)


def test_taking_back_more_than_the_hold_is_an_error(run):
    with pytest.raises(PluginContractError, match=r"hold=2"):
        run(["a"], writes("abcd<<", hold=1), streaming=True)


def test_a_stop_string_is_held_back_and_cut_off(run):
    outcome = run(["a"], writes("abcabdab", hold=0), stop=("abd",), streaming=True)

    assert ["abc"] == told(outcome)
    assert ("abc", (A, B, C, A, B, D), "stop_string") == (
        outcome[0, 0].text,
        outcome[0, 0].tokens,
        outcome[0, 0].finish_reason,
    )


def test_a_stop_string_that_does_not_come_is_told_after_all(run):
    outcome = run(["a"], writes("abcab", hold=0), stop=("abd",), streaming=True)

    assert ["abc", "ab"] == told(outcome)


@pytest.mark.parametrize("streaming", [True, False])
def test_an_independent_row_may_be_taken_back_right_after_its_end(streaming, run):
    @strategy(rows_independent=True, hold=1)
    def undecided(session: Session):
        """End every row, take the end back once, and end it with something else."""
        while session.running:
            session.next_logits()
            fresh = [len(row.new_tokens) == 0 for row in session.rows.records]
            step = session.append([END] * len(session.rows))
            if any(fresh):
                session.rewind([int(each) for each in fresh])
                session.append([C if each else -1 for each in fresh])
            yield step

    outcome = run(["a", "b", "c"], undecided, batch_size=2, streaming=streaming)

    assert {(C, END)} == {each.tokens for each in outcome.completions.values()}


def test_a_cancelled_call_hands_over_what_is_there(run):
    steps = []

    class Counting(Greedy):
        """Count the steps."""

        def choose(self, logits, rows):
            steps.append(len(rows))
            return super().choose(logits, rows)

    outcome = run(
        ["a", "b"], sample, sampler=Counting(), batch_size=1, cancelled=lambda: len(steps) == 3
    )

    assert {(0, 0): (3, "cancelled"), (1, 0): (0, "cancelled")} == {
        place: (len(each.tokens), each.finish_reason) for place, each in outcome.completions.items()
    }


def test_deltas_that_are_not_fetched_at_every_step_lose_nothing(open_session, finish):
    component = writes("abc", rows_independent=True, hold=0).component()
    session = open_session(["a"], component, streaming=True)
    for _ in component.decode(session):
        pass

    assert ["abc"] == [each.text for each in finish(session)]


def test_usage_counts_what_was_done(run):
    usage = run(["abc", "d"], writes("ab", "cd"), max_new_tokens=5).usage

    # The model has read the prompts, in case the strategy asks for logits.
    assert (4, 4, 1) == (usage.prompt_tokens, usage.new_tokens, usage.model_calls)
