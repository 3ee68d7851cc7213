"""Checks of copies, beams, drafts and whole calls: each finds a component made to break it."""

from typing import Annotated, ClassVar

import pytest
import torch
from pydantic import Field

from gpt2sdk import (
    Drafter,
    LogitsProcessor,
    OptionError,
    Sampler,
    Stage,
    TextCriterion,
    TextEnd,
)
from gpt2sdk.testing.answer_checks import check_a_row_without_tokens_stays_so
from gpt2sdk.testing.copy_checks import (
    check_beams_are_as_if_each_were_read_anew,
    check_copies_have_memories_of_their_own,
)
from gpt2sdk.testing.generation_checks import (
    Script,
    check_a_prompt_alone_is_as_among_others,
    check_drafts_change_nothing,
    check_proposals_change_nothing,
    generate,
    outcome,
    scripted,
)


def odd_tokens(rows):
    """Return which of 29 tokens are odd."""
    return torch.arange(29, device=rows.device) % 2 == 1


class Counter(LogitsProcessor):
    """Takes from a token what the row's memory says, as it should."""

    taken: Annotated[float, Field(description="Nats; 0 is off.")] = 0.0

    def start(self, session):
        return CounterRun(self.taken, session.per_row(lambda _: 0, lambda n, token, _: n + token))


class CounterRun:
    def __init__(self, taken, counts):
        self.taken, self.counts = taken, counts

    def process(self, logits, rows):
        column = torch.tensor(self.counts[rows], dtype=logits.dtype, device=logits.device)
        return logits - self.taken * column[:, None] * odd_tokens(rows)


class SharedMemory(Counter):
    """Keeps a list that copies share, for want of `copy=`."""

    def start(self, session):
        def accept(counts, token, _):
            counts[0] += token
            return counts

        column = session.per_row(lambda _: [0], accept)
        return CounterRun(self.taken, Unpacked(column))


class Unpacked:
    def __init__(self, column):
        self.column = column

    def __getitem__(self, rows):
        return [value for (value,) in self.column[rows]]


class KeyedBySeat(Counter):
    """Remembers under the row's seat what it saw there last."""

    def start(self, session):
        taken, seen = self.taken, {}

        class Run:
            def process(self, logits, rows):
                before = [seen.get(seat, 0.0) for seat in rows.index]
                last = rows.tokens.gather(1, rows.lengths[:, None] - 1)[:, 0]
                seen.update(zip(rows.index, last.tolist(), strict=True))
                column = torch.tensor(before, dtype=logits.dtype)
                return logits - taken * column[:, None] * odd_tokens(rows)

        return Run()


class KeyedByPrompt(Counter):
    """Remembers under the prompt how often it was asked about it."""

    def start(self, session):
        taken, asked = self.taken, {}

        class Run:
            def process(self, logits, rows):
                for prompt in rows.prompt_index.tolist():
                    asked[prompt] = asked.get(prompt, 0) + 1
                column = torch.tensor([float(asked[p]) for p in rows.prompt_index.tolist()])
                return logits - taken * column[:, None] * odd_tokens(rows)

        return Run()


class CountingCalls(Sampler):
    """Picks by the number of times it was asked."""

    def start(self, session):
        class Run:
            asked = 0

            def choose(self, logits, rows):
                self.asked += 1
                return logits.topk(2).indices[:, self.asked % 2]

        return Run()


class FirstSearched(TextCriterion):
    """Ends a text where a search began that was not the first."""

    mark: Annotated[str, Field(description="A character; empty is off.")] = ""

    def start(self, session):
        criterion = self

        class Run:
            asked = 0

            def find(self, written):
                self.asked += 1
                return TextEnd(written.start if self.asked > 9 and criterion.mark else None)

        return Run()


class NotANumber(LogitsProcessor):
    """Subtracts the best, infinite or not."""

    stage: ClassVar[Stage] = Stage.PENALTY

    def process(self, logits, rows):
        return logits - logits.amax(-1, keepdim=True)


class Hopeful(LogitsProcessor):
    """Gives the first token to rows that have none."""

    stage: ClassVar[Stage] = Stage.CONSTRAIN

    def process(self, logits, rows):
        empty = logits.isneginf().all(-1)
        return logits.index_put((empty.nonzero()[:, 0], torch.tensor(0)), torch.tensor(0.0))


class OverTheBatch(LogitsProcessor):
    """Subtracts the least logit of the batch that is finite."""

    def process(self, logits, rows):
        return logits - logits.where(logits.isfinite(), 1e9).amin(0)


@pytest.mark.parametrize("component", [SharedMemory(taken=0.5), KeyedBySeat(taken=0.5)])
def test_memory_that_copies_share_is_found(component):
    check_copies_have_memories_of_their_own(Counter(taken=0.5))
    with pytest.raises(AssertionError, match="copies that went on differently"):
        check_copies_have_memories_of_their_own(component)


@pytest.mark.parametrize("component", [KeyedByPrompt(taken=0.5), KeyedBySeat(taken=0.5)])
def test_memory_that_does_not_follow_beams_is_found(component):
    check_beams_are_as_if_each_were_read_anew(Counter(taken=0.5))
    with pytest.raises(AssertionError, match="under beams, step"):
        check_beams_are_as_if_each_were_read_anew(component)


@pytest.mark.parametrize(
    ("component", "promise"),
    [
        (NotANumber(), "with an empty row: NaN"),
        (Hopeful(), "revives a token of an empty row"),
        (OverTheBatch(), "other rows get another answer"),
    ],
)
def test_what_an_empty_row_does_is_found(component, promise):
    with pytest.raises(AssertionError, match=promise):
        check_a_row_without_tokens_stays_so(component)


def test_a_component_that_depends_on_the_batch_is_found_in_calls():
    with pytest.raises(AssertionError, match="with batch_size=2"):
        check_a_prompt_alone_is_as_among_others(CountingCalls())


def test_a_component_that_drafts_change_is_found():
    check_drafts_change_nothing(Counter(taken=0.5))
    with pytest.raises(AssertionError, match="with a drafter than without"):
        check_drafts_change_nothing(FirstSearched(mark="."))


def test_drafts_of_the_check_are_accepted_and_rejected():
    plain = generate(Counter(taken=0.5))
    drafted = generate(Counter(taken=0.5), drafter=scripted(plain))

    assert outcome(plain) == outcome(drafted)
    assert 0 < drafted.usage.accepted < drafted.usage.drafted
    assert drafted.usage.model_calls < plain.usage.model_calls


class Meddling(Drafter):
    """Changes the rows' tokens while it looks at them."""

    def propose(self, rows, k):
        for record in rows.records:
            if record.grown > 3:
                record.tokens[-1] = 5
        return torch.full((len(rows), k), 5)


def test_a_drafter_that_changes_the_text_is_found():
    check_proposals_change_nothing(Script(lines=((1, 2), (3,), (), (4, 5, 6))))
    with pytest.raises(AssertionError, match="gives another text than no drafter"):
        check_proposals_change_nothing(Meddling())


class SingleToken(Counter):
    """Refuses prompts of several tokens."""

    def check_prompt(self, prompt):
        if len(prompt.tokens) > 1:
            raise OptionError("prompts of one token only", name="taken")


def test_a_component_for_short_prompts_is_tried_with_short_ones():
    check_a_prompt_alone_is_as_among_others(SingleToken(taken=0.5))
    check_drafts_change_nothing(SingleToken(taken=0.5))
