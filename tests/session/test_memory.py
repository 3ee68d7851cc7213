"""What components remember of rows: made when they are admitted, and moved with them."""

import weakref
from dataclasses import dataclass

import pytest
import torch

from gpt2sdk import (
    LogitsProcessor,
    PerRow,
    PerRowTensor,
    PluginContractError,
    Sampler,
    Session,
    sample,
    strategy,
)

A, B, C, D = 0, 1, 2, 3


@strategy(hold=None)
def by_hand(session: Session):
    """Leave the verbs to the test."""
    yield from ()


def spell(session):
    """Remember what a row took, as a text; fresh rows have their prompt's number."""
    return session.per_row(
        lambda prompt: f"{prompt.index}:", lambda text, token, logits: f"{text}{token}"
    )


def add_up(session):
    """Remember the sum of the logits that were seen for what a row took; unseen ones count -1."""

    def accept(sums, tokens, logits):
        return sums - 1 if logits is None else sums + logits.gather(1, tokens[:, None])[:, 0]

    return session.per_row_tensor(lambda prompt: torch.tensor(10.0 * prompt.index), accept)


def test_a_value_is_made_advanced_copied_and_taken_back_with_its_row(open_session):
    session = open_session(["a", "b"], by_hand)
    memory = spell(session)
    assert ["0:", "1:"] == memory[session.rows]

    session.append([C, -1])
    session.append([D, A])
    assert ["0:23", "1:0"] == memory[session.rows]

    session.fork([1, 0, 0])
    session.append([-1, B, C])
    assert ["1:0", "0:231", "0:232"] == memory[session.rows]

    session.rewind([1, 2, 0])
    assert ["1:", "0:2", "0:232"] == memory[session.rows]
    assert ["0:232", "1:"] == memory[session.rows.select([2, 0])]


def test_a_value_that_changes_in_place_gives_a_copy_function(open_session):
    session = open_session(["a"], by_hand)

    def accept(tokens, token, logits):
        tokens.append(token)
        return tokens

    memory = session.per_row(lambda prompt: [], accept, copy=list)
    session.append([B])
    session.fork([0, 0])
    session.append([C, D])
    session.rewind([1, 0])

    assert [[B], [B, D]] == memory[session.rows]


def test_memory_begun_late_starts_with_the_rows_as_they_are(open_session):
    session = open_session(["a"], by_hand)
    session.append([B])
    memory = spell(session)
    session.append([C])

    assert ["0:2"] == memory[session.rows]


class Watching(LogitsProcessor):
    """Remembers the logits it was given, and passes on twice as much."""

    def start(self, session):
        run = WatchingRun(
            session.per_row(lambda prompt: (), lambda seen, token, logits: (*seen, logits)),
            add_up(session),
        )
        RUNS.append(run)
        return run


RUNS: list["WatchingRun"] = []


@dataclass
class WatchingRun:
    """Both kinds of memory."""

    seen: PerRow
    sums: PerRowTensor

    def process(self, logits, rows):
        return 2 * logits


class Shifting(LogitsProcessor):
    """Stands behind it."""

    rank = 5

    def process(self, logits, rows):
        return logits + 1


def test_memory_is_given_what_its_own_component_saw(open_session):
    session = open_session(["a", "b"], by_hand, chain=[Watching(), Watching(), Shifting()])
    first, second = RUNS[-2:]
    logits = session.next_logits()
    session.process(logits)
    session.append([C, D])

    taken = logits.gather(1, torch.tensor([[C], [D]]))[:, 0]
    assert torch.equal(logits[1], first.seen[session.rows][1][0])
    assert torch.equal(2 * logits[1], second.seen[session.rows][1][0])
    assert torch.allclose(taken + torch.tensor([0.0, 10.0]), first.sums[session.rows])
    assert torch.allclose(2 * taken + torch.tensor([0.0, 10.0]), second.sums[session.rows])


def test_memory_is_given_nothing_where_its_component_was_not_asked(open_session):
    session = open_session(["a", "b"], by_hand, chain=[Watching()])
    session.append([B, -1])

    assert [(None,), ()] == RUNS[-1].seen[session.rows]
    assert [-1.0, 10.0] == RUNS[-1].sums[session.rows].tolist()


def test_a_tensor_is_copied_and_taken_back_with_its_row(open_session):
    session = open_session(["a", "b"], by_hand, chain=[Watching()])
    sums = RUNS[-1].sums
    logits = session.next_logits()
    session.process(logits)
    session.append([C, D])
    before = sums[session.rows]
    session.process(session.next_logits())
    session.append([A, A])
    session.fork([1, 0, 1])
    session.rewind([1, 1, 0])

    expected = [before[1], before[0]]
    assert expected == list(sums[session.rows][:2])
    assert expected[0] != sums[session.rows][2]


def test_each_variant_of_a_component_remembers_its_own_prompts_only(open_session):
    class Counting(Watching):
        scale: float = 1.0

    chain = [[Counting(scale=1.0), None, Counting(scale=2.0)]]
    session = open_session(["a", "b", "c"], by_hand, chain=chain)
    one, two = RUNS[-2:]
    session.process(session.next_logits())
    session.append([B, B, B])

    assert [1, None, None] == [seen and len(seen) for seen in one.seen[session.rows]]
    assert [None, None, 1] == [seen and len(seen) for seen in two.seen[session.rows]]


class Remembering(Sampler):
    """Takes token 0, 1, 2, … of a row, by its memory."""

    def start(self, session):
        counts = session.per_row(lambda prompt: 0, lambda count, token, logits: count + 1)
        return RememberingRun(counts)


@dataclass
class RememberingRun:
    """How many tokens each row took."""

    counts: PerRow

    def choose(self, logits, rows):
        return torch.tensor(self.counts[rows])


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_rows_that_are_refilled_start_afresh(batch_size, run):
    outcome = run(
        ["a", "b", "c", "d", "e"],
        sample,
        sampler=Remembering(),
        max_new_tokens=[3, 1, 4, 1, 5],
        batch_size=batch_size,
    )

    assert ["abc", "a", "abcd", "a", "abcde"] == [outcome[place, 0].text for place in range(5)]


def test_nothing_leaks_from_call_to_call(run):
    texts = [run(["a"], sample, sampler=Remembering(), max_new_tokens=4)[0, 0].text for _ in "12"]

    assert ["abcd", "abcd"] == texts


class Judging(LogitsProcessor):
    """Remembers of each token whether its run had seen logits for it."""

    def start(self, session):
        listed = session.per_row(
            lambda _: (), lambda old, token, logits: (*old, logits is not None)
        )
        counted = session.per_row_tensor(
            lambda _: torch.tensor(0), lambda old, tokens, logits: old + (logits is not None)
        )
        JUDGES.append((listed, counted))
        return self

    def process(self, logits, rows):
        return logits


JUDGES: list[tuple[PerRow, PerRowTensor]] = []


def test_logits_judge_the_one_token_they_were_given_for(open_session):
    session = open_session(["a"], by_hand, chain=[Judging()])
    listed, counted = JUDGES[-1]
    session.process(session.next_logits())
    session.append([A])
    session.append([B])
    session.process(session.next_logits())
    session.rewind([1])
    session.append([A])

    assert [(True, False)] == listed[session.rows]
    assert [1] == counted[session.rows].tolist()


@strategy(hold=None, rewinds=False)
def forward(session: Session):
    """Leave the verbs to the test, and take nothing back."""
    yield from ()


def test_a_strategy_that_never_rewinds_keeps_no_past_and_is_held_to_it(open_session):
    session = open_session(["a"], forward)
    values = []
    session.per_row_tensor(lambda _: torch.zeros(1000), lambda old, _, __: track(values, old + 1))
    for _ in range(4):
        session.append([C])
    assert 1 == sum(each() is not None for each in values)
    with pytest.raises(PluginContractError, match=r"rewinds=True"):
        session.rewind([1])


def track(values, tensor):
    """Note a tensor, without keeping it."""
    values.append(weakref.ref(tensor))
    return tensor
