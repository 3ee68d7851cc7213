"""Random programs of verbs, with random drafting, against a naive reading of the contract.

The reference keeps each row as a list of what it took, and computes everything anew from it
whenever it is asked: logits, memory, mirrors, texts, ends, log-probabilities. After every verb the
session must agree.
"""

import math
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import NamedTuple

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gpt2sdk import Drafter, LogitsProcessor, Prompt, Session, strategy
from gpt2sdk.rng import purpose_key, uniform

A, B, C, D, END = 0, 1, 2, 3, 11
MOST_NEW = 24
MOST_ROWS = 6
STOP = "aba"


def habit(tokens):
    """Return the token that rows of these tests tend to append, so that proposals can be right."""
    return (3 * tokens[-1] + tokens[-2] + 1) % 4


class Habit(Drafter):
    """Proposes what rows tend to append, but for every `slip`-th token."""

    slip: int = 0

    def propose(self, rows, k):
        drafts = []
        for history in rows.histories():
            ahead = [0, *history]
            for _ in range(k):
                ahead.append((habit(ahead) + (len(ahead) % self.slip == 0)) % 4)
            drafts.append(ahead[-k:])
        return torch.tensor(drafts)


class Heat(LogitsProcessor):
    """Remembers the logits of what was taken, on the host and in a tensor, and scales by it."""

    def start(self, session):
        host = session.per_row(lambda prompt: 0.0, self.add)
        stacked = session.per_row_tensor(lambda prompt: torch.tensor(0.0), self.adds)
        return HeatRun(host, stacked)

    @staticmethod
    def add(value, token, logits):
        return value if logits is None else value / 2 + float(logits[token])

    @staticmethod
    def adds(values, tokens, logits):
        return values if logits is None else values / 2 + logits.gather(1, tokens[:, None])[:, 0]


@dataclass
class HeatRun:
    """The heat of each row, kept in both ways."""

    host: object
    stacked: object

    def process(self, logits, rows):
        heat = torch.tensor(self.host[rows])
        assert torch.allclose(heat, self.stacked[rows])
        return logits * (1 + heat.sigmoid())[:, None]


class Taken(NamedTuple):
    """A token, what the processor was given for it, and whether it was given anything."""

    token: int
    given: torch.Tensor | None
    known: bool


@dataclass
class Reference:
    """A row, read naively."""

    prompt: Prompt
    lane: int = 0
    draws: int = 0
    taken: list[Taken] = field(default_factory=list)
    given: torch.Tensor | None = None
    known: bool = False

    @property
    def new(self):
        return [each.token for each in self.taken]

    @property
    def tokens(self):
        return [*self.prompt.tokens, *self.new]

    @property
    def text(self):
        return "".join("abcdefghij."[token] for token in self.new if token != END)

    @property
    def reason(self):
        if self.new[-1:] == [END]:
            return "end_token"
        if STOP in self.text:
            return "stop_string"
        return "length" if len(self.new) >= MOST_NEW else None

    @property
    def memory(self):
        return reduce(fold, self.new, self.prompt.index)

    @property
    def heat(self):
        return reduce(lambda heat, each: Heat.add(heat, each.token, each.given), self.taken, 0.0)


def fold(value, token):
    return (7 * value + token) % 1000


def scored(model, tokens):
    """Return what a model says after these tokens, given to it all at once."""
    return model.score(model.make_cache(1), [tokens], [1]).logits[0]


@strategy(hold=None)
def by_hand(session: Session):
    """Leave the verbs to the test."""
    yield from ()


class Programs(RuleBasedStateMachine):
    """What a strategy may do, in any order."""

    def __init__(self, open_session, finish, table_model):
        super().__init__()
        self.open_session = open_session
        self.finish = finish
        self.model = table_model(bias={})
        self.rows = []

    @initialize(
        lengths=st.lists(st.integers(1, 70), min_size=1, max_size=3),
        slip=st.sampled_from([0, 5, 100, 100]),
    )
    def start(self, lengths, slip):
        prompts = [
            [4 + place, C, *[A, B, C, D] * 17][:length] for place, length in enumerate(lengths)
        ]
        self.session = self.open_session(
            prompts,
            by_hand,
            model=self.model,
            max_new_tokens=MOST_NEW,
            chain=[Heat()],
            stop=(STOP,),
            drafter=Habit(slip=slip) if slip else None,
            logprobs=0,
            num_return_sequences=MOST_ROWS,
        )
        self.rows = [Reference(row.prompt) for row in self.session.rows.records]
        self.memory = self.session.per_row(
            lambda prompt: prompt.index, lambda value, token, logits: fold(value, token)
        )
        self.mirror = self.session.mirror(lambda prompt: (D, *prompt.tokens[-2:]))

    @rule()
    def think(self):
        logits = self.session.next_logits()
        processed = self.session.process(logits)
        for place, row in enumerate(self.rows):
            if row.reason is not None:
                assert not logits[place].any()
                continue
            row.known, row.given = True, scored(self.model, row.tokens)
            assert torch.equal(row.given, logits[place])
            expected = row.given * (1 + torch.tensor(row.heat).sigmoid())
            assert torch.allclose(expected, processed[place], rtol=1e-5)

    @rule(data=st.data())
    def append(self, data):
        usual = st.sampled_from([None] * 12 + [A, D, A, D, END, -1])
        chosen = [data.draw(usual) for _ in self.rows]
        tokens = [
            habit([0, *row.tokens]) if token is None else token
            for row, token in zip(self.rows, chosen, strict=True)
        ]
        taken = self.session.append(tokens).tokens
        expected = [
            token if row.reason is None else -1
            for row, token in zip(self.rows, tokens, strict=True)
        ]
        assert expected == list(taken)
        for row, token in zip(self.rows, taken, strict=True):
            if token >= 0:
                row.taken.append(Taken(token, row.given, row.known))
                row.known, row.given = False, None
                row.draws += 1

    @rule(data=st.data())
    def think_and_append(self, data):
        self.think()
        self.append(data)

    @precondition(lambda self: self.session.running)
    @rule()
    def look_into_the_mirror(self):
        going = [place for place, row in enumerate(self.rows) if row.reason is None]
        expected = [
            scored(self.model, [D, *row.prompt.tokens[-2:], *row.new])
            for row in self.rows
            if row.reason is None
        ]
        rows = self.session.rows.select(going)
        assert torch.equal(torch.stack(expected), self.mirror.next_logits(rows))

    @rule(data=st.data())
    def fork(self, data):
        places = st.integers(0, len(self.rows) - 1)
        parents = data.draw(st.lists(places, min_size=1, max_size=MOST_ROWS))
        kept = {self.rows[place].prompt.index for place in parents}
        # A prompt that nobody handed a completion in for must not be dropped.
        for place, row in enumerate(self.rows):
            if row.prompt.index not in kept:
                kept.add(row.prompt.index)
                parents.append(place)
        self.session.fork(parents)
        draws = {}
        for row in self.rows:
            draws[row.prompt.index] = max(draws.get(row.prompt.index, 0), row.draws)
        copies = []
        for row in (self.rows[place] for place in parents):
            lane = sum(copy.prompt.index == row.prompt.index for copy in copies)
            own = {"lane": lane, "draws": draws[row.prompt.index], "taken": list(row.taken)}
            copies.append(replace(row, **own))
        self.rows = copies

    @rule(data=st.data())
    def rewind(self, data):
        counts = [data.draw(st.integers(0, min(3, len(row.taken)))) for row in self.rows]
        self.session.rewind(counts)
        for row, count in zip(self.rows, counts, strict=True):
            if count:
                row.known, row.given = False, None
                del row.taken[len(row.taken) - count :]

    @invariant()
    def the_session_agrees(self):
        if not self.rows:
            return
        rows = self.session.rows
        drawn = [
            uniform(row.prompt.seed, row.lane, row.draws, purpose_key("x")) for row in self.rows
        ]
        assert drawn == self.session.uniform("x").tolist()
        assert [row.tokens for row in self.rows] == rows.histories()
        assert [row.reason for row in self.rows] == rows.finish_reason
        assert [row.lane for row in self.rows] == rows.lane.tolist()
        assert [row.text for row in self.rows] == self.session.texts()
        assert [row.memory for row in self.rows] == self.memory[rows]
        assert any(row.reason is None for row in self.rows) == self.session.running
        for row, padded in zip(self.rows, rows.tokens.tolist(), strict=True):
            assert row.tokens == padded[: len(row.tokens)]

    def teardown(self):
        """What is left becomes the completions."""
        if not self.rows:
            return
        made = [delta.completion for delta in self.finish(self.session)]
        made.sort(key=lambda each: (each.prompt_index, each.sample_index))
        self.rows.sort(key=lambda row: (row.prompt.index, row.lane))
        for row, completion in zip(self.rows, made, strict=True):
            assert tuple(row.new) == completion.tokens
            assert row.text.partition(STOP)[0] == completion.text
            assert (row.reason or "strategy") == completion.finish_reason
            for count, (each, logprob) in enumerate(
                zip(row.taken, completion.logprobs, strict=True)
            ):
                if math.isnan(logprob):
                    assert not each.known
                    continue
                before = [*row.prompt.tokens, *row.new[:count]]
                expected = scored(self.model, before).log_softmax(-1)[each.token].item()
                assert math.isclose(expected, logprob, abs_tol=1e-5)


def test_any_program_of_verbs_gives_what_a_naive_reading_gives(open_session, finish, table_model):
    run_state_machine_as_test(
        lambda: Programs(open_session, finish, table_model),
        settings=settings(max_examples=60, stateful_step_count=30, deadline=None),
    )
