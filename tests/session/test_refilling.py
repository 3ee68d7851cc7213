"""Rows that come and go, wait for each other, and change their minds: each by itself, naively."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk import LogitsProcessor, Session, strategy
from gpt2sdk.defaults import Multinomial
from gpt2sdk.rng import purpose_key, uniform
from gpt2sdk.testing import make_rows
from gpt2sdk_drafters.prompt_lookup import PromptLookup

END = 11
HOLD = 3
STOP = "ab"


def back(whim, grown, peak):
    """Return how many tokens a row takes back: one time in four some, never what was certain."""
    return min(int(whim * 4 * (HOLD + 1)), grown - max(0, peak - HOLD)) if whim < 0.25 else 0


@strategy(rows_independent=True, hold=HOLD)
def whimsical(session: Session):
    """Draw tokens, and now and then take some back, finished rows' too."""
    while session.running:
        logits = session.process(session.next_logits())
        whims = session.uniform("whim").tolist()
        step = session.append(session.choose(logits))
        rows = zip(session.rows.records, whims, step.tokens, strict=True)
        backs = [back(whim, row.grown, row.peak) if token >= 0 else 0 for row, whim, token in rows]
        session.rewind(backs)
        yield step


class Sums(LogitsProcessor):
    """Cools a row by the number of odd tokens in it, which it remembers."""

    def start(self, session):
        counts = session.per_row(lambda prompt: 0, lambda count, token, logits: count + token % 2)

        class Run:
            def process(self, logits, rows):
                return logits * (1 + torch.tensor(counts[rows]) / 10)[:, None]

        return Run()


def naive(model, prompt, seed, lane, room):
    """Follow one row alone, everything computed from its tokens."""
    new, draws, peak = [], 0, 0
    while True:
        history = [*prompt, *new]
        logits = model.score(model.make_cache(1), [history], [1]).logits
        logits = logits * (1 + sum(token % 2 for token in new) / 10)
        row = make_rows([history], seed=seed, purpose="multinomial")
        row.records[0].lane, row.records[0].draws = lane, draws
        whim = uniform(seed, lane, draws, purpose_key("whim"))
        new.append(int(Multinomial().choose(logits, row)))
        draws, peak = draws + 1, max(peak, len(new))
        count = back(whim, len(new), peak)
        new = new[: len(new) - count]
        text = "".join("abcdefghij."[token] for token in new if token != END)
        if new[-1:] == [END]:
            return tuple(new), text, "end_token"
        if STOP in text:
            return tuple(new), text.partition(STOP)[0], "stop_string"
        if len(new) >= room:
            return tuple(new), text, "length"


prompts = st.lists(st.text("abcdefghij", min_size=1, max_size=40), min_size=1, max_size=6)


@pytest.mark.parametrize("streaming", [True, False])
@settings(max_examples=40)
@given(data=st.data())
def test_every_row_is_what_it_is_alone(streaming, data, run, table_model):
    texts = data.draw(prompts)
    rooms = data.draw(st.lists(st.integers(1, 25), min_size=len(texts), max_size=len(texts)))
    samples = data.draw(st.integers(1, 3))
    made = run(
        texts,
        whimsical,
        model=table_model(order=2, scale=4.0),
        chain=[Sums()],
        stop=(STOP,),
        max_new_tokens=rooms,
        num_return_sequences=samples,
        drafter=data.draw(st.sampled_from([None, PromptLookup()])),
        batch_size=data.draw(st.integers(1, 8)),
        streaming=streaming,
    )

    model = table_model(order=2, scale=4.0)
    for place, text in enumerate(texts):
        tokens = ["abcdefghij".index(letter) for letter in text]
        for lane in range(samples):
            each = made[place, lane]
            expected = naive(model, tokens, place, lane, rooms[place])
            assert expected == (each.tokens, each.text, each.finish_reason)


@strategy(rows_independent=True)
def second_settles(session: Session):
    """Write c; when the second row of prompt n has written 2 + n of them, its prompt ends."""
    while session.running:
        session.next_logits()
        step = session.append([2] * len(session.rows))
        for prompt, rows in session.rows.by_prompt():
            for row in rows.records:
                if (row.lane, row.grown) == (1, 2 + prompt.index):
                    session.finish(rows.index, "settled")
        yield step


def test_rows_that_a_sibling_ends_make_room(run):
    # Three seats: prompt 0 ends after two steps, the second row of prompt 1 begins then and ends
    # that prompt in step five, and the second row of prompt 2 begins then.
    options = {"num_return_sequences": 2, "streaming": True, "max_new_tokens": 20}
    outcome = run(["a", "b", "d"], second_settles, batch_size=3, **options)

    made = [len(outcome[prompt, lane].tokens) for prompt in range(3) for lane in range(2)]
    assert [2, 2, 5, 3, 7, 4] == made
    assert {"settled"} == {each.finish_reason for each in outcome.completions.values()}
    assert 9 == outcome.usage.model_calls
