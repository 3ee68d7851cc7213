"""One component may mask, end and draft, with one memory of what it did."""

from dataclasses import dataclass, field

import pytest
import torch

from gpt2sdk import Drafter, LogitsProcessor, PerRow, Stage, StoppingCriterion

A, B, C = 0, 1, 2
WORD = (A, B, C)
STARTED = []


@dataclass
class SpellingRun:
    """Lets a row take the next letter of the word only, ends it after the last, and drafts it."""

    taken: PerRow
    proposed: list[int] = field(default_factory=list)

    def process(self, logits, rows):
        allowed = torch.tensor([WORD[taken % 3] for taken in self.taken[rows]])
        return logits.masked_fill(torch.arange(logits.shape[1]) != allowed[:, None], -torch.inf)

    def check(self, rows):
        return torch.tensor([taken == 3 for taken in self.taken[rows]])

    def propose(self, rows, k):
        self.proposed.append(k)
        words = [(*WORD[taken:], *[-1] * k)[:k] for taken in self.taken[rows]]
        return torch.tensor(words).view(len(rows), k)


class Spelling(LogitsProcessor, StoppingCriterion, Drafter):
    """Spells one word."""

    stage = Stage.CONSTRAIN
    reason = "spelled"
    spelling: bool = False

    def start(self, session):
        STARTED.append(SpellingRun(session.per_row(lambda prompt: 0, lambda n, token, _: n + 1)))
        return STARTED[-1]


@pytest.fixture
def spelling():
    STARTED.clear()
    return Spelling(spelling=True)


def test_a_component_of_several_roles_has_one_memory(run, spelling):
    outcome = run(
        ["abcabcabc", "bbbbbbbbbb"],
        chain=[spelling],
        drafter=spelling,
    )

    assert [(WORD, "spelled")] * 2 == [
        (outcome[place].tokens, outcome[place].finish_reason) for place in [(0, 0), (1, 0)]
    ]
    assert 1 == len(STARTED)
    assert STARTED[0].proposed


def test_a_component_that_stands_twice_in_a_chain_is_two(run, spelling):
    run(["a"], chain=[spelling, spelling], max_new_tokens=3)

    assert 2 == len(STARTED)
