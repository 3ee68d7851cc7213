"""Each check of the conformance kit finds a component that breaks its promise, and no other."""

import random
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pytest
import torch
from pydantic import ConfigDict, Field, PrivateAttr

from gpt2sdk import (
    Drafter,
    LogitsProcessor,
    Prompt,
    Sampler,
    Stage,
    StoppingCriterion,
    TextCriterion,
    TextEnd,
)
from gpt2sdk.testing import (
    check_criterion,
    check_drafter,
    check_processor,
    check_sampler,
    check_text_criterion,
    parametrize_with_checks,
)
from gpt2sdk.testing.conformance import checks_of


class Good(LogitsProcessor):
    """Takes something from tokens that were said, and keeps what is near the best."""

    stage: ClassVar[Stage] = Stage.TRUNCATE

    near: Annotated[float, Field(ge=0.0, description="Distance in nats; 0 is off.")] = 0.0

    def process(self, logits, rows):
        if self.near == 0.0:
            return logits
        return logits.masked_fill(logits < logits.amax(-1, keepdim=True) - self.near, -torch.inf)


class GoodCounter(LogitsProcessor):
    """Takes from the last token's logit what the row's memory says."""

    taken: Annotated[float, Field(description="Nats per token of memory; 0 is off.")] = 0.0

    def start(self, session):
        counts = session.per_row(lambda _: 0, lambda count, token, _: count + token)
        taken = self.taken

        class Run:
            def process(self, logits, rows):
                column = torch.tensor(counts[rows], dtype=logits.dtype, device=logits.device)
                return logits - (taken * column)[:, None] * (
                    torch.arange(29, device=rows.device) == 3
                )

        return Run()


class GoodSampler(Sampler):
    """Draws among all tokens."""

    def choose(self, logits, rows):
        return rows.race(logits)


class GoodCriterion(StoppingCriterion):
    """Ends rows at a length."""

    at: Annotated[int, Field(ge=0, description="Tokens; 0 is off.")] = 0

    def check(self, rows):
        return rows.lengths >= (self.at or 10**6)


class GoodText(TextCriterion):
    """Ends a text before a character."""

    mark: Annotated[str, Field(description="A character; empty is off.")] = ""

    def search(self, text, start):
        at = text.find(self.mark, start) if self.mark else -1
        return TextEnd(at if at >= 0 else None)


class GoodDrafter(Drafter):
    """Proposes the last token again."""

    def propose(self, rows, k):
        last = rows.tokens.gather(1, rows.lengths[:, None] - 1)
        return last.expand(-1, k)


GOOD = [
    Good(near=2.0),
    GoodCounter(taken=0.5),
    GoodSampler(),
    GoodCriterion(at=7),
    GoodText(mark="."),
    GoodDrafter(),
]


@parametrize_with_checks(GOOD)
def test_good_components_pass(component, check):
    check(component)


class Undocumented(Good):
    near: Annotated[float, Field(ge=0.0)] = 0.0


class Mutable(Good):
    """Can be changed."""

    model_config = ConfigDict(frozen=False)

    def __hash__(self):
        return 0


class Forgetful(Good):
    """Loses digits on the way to JSON."""

    def model_dump_json(self, **how):
        return '{"near": 1.0}'


class Lenient(Good):
    """Accepts anything."""

    model_config = ConfigDict(extra="ignore")


class Narrowing(Good):
    """Drops a token from the vocabulary."""

    def process(self, logits, rows):
        return logits[:, :-1]


class NotANumber(Good):
    """Takes the difference of infinities."""

    def process(self, logits, rows):
        return logits - logits.amin(-1, keepdim=True)


class Reviving(Good):
    """Gives every token a chance."""

    def process(self, logits, rows):
        return logits.clamp(min=-100.0)


class Emptying(Good):
    """Rules everything out where there are ties."""

    def process(self, logits, rows):
        best = logits == logits.amax(-1, keepdim=True)
        return logits.masked_fill(best.sum(-1, keepdim=True) > 1, -torch.inf)


class AlwaysOn(Good):
    """Does something even when it is off."""

    def process(self, logits, rows):
        return logits / 2


class InPlace(Good):
    """Saves memory."""

    def process(self, logits, rows):
        return logits.sub_(1.0) if self.near else logits


class Coupled(Good):
    """Normalises over the batch."""

    def process(self, logits, rows):
        return logits - logits.nan_to_num(0.0, 0.0, 0.0).mean() * rows.lengths[:, None] / 5


class Positional(Good):
    """Treats the first row differently."""

    def process(self, logits, rows):
        first = torch.arange(len(logits), device=logits.device) == 0
        return torch.where(first[:, None], logits / 2, logits) if self.near else logits


class ReadingPadding(Good):
    """Looks beyond the rows' ends."""

    def process(self, logits, rows):
        return logits - (rows.tokens == 20).sum(-1, keepdim=True) if self.near else logits


class Restless(Good):
    """Adds noise of its own."""

    def process(self, logits, rows):
        return logits + random.random() * self.near  # noqa: S311


class Noisy(Good):
    """Adds torch's noise."""

    def process(self, logits, rows):
        return logits + 0 * torch.rand(()).to(logits)


class NumpyNoisy(Good):
    """Adds numpy's noise."""

    def process(self, logits, rows):
        return logits + 0 * np.random.rand()  # noqa: NPY002


class Waiting(Good):
    """Reads a number back."""

    def process(self, logits, rows):
        return logits if logits.amax().item() > 0.0 else logits + 0.0


class LeftBehind(Good):
    """Makes a tensor on the CPU."""

    def process(self, logits, rows):
        return logits + torch.zeros(logits.shape[1])


class Remembering(Good):
    """Counts calls in the component."""

    _calls: int = PrivateAttr(default=0)

    def process(self, logits, rows):
        self._calls += 1
        return logits - self._calls * self.near


class SharingMemory(GoodCounter):
    """Changes a value in place and gives no `copy`."""

    def start(self, session):
        def accept(counts, token, _):
            counts[0] += token
            return counts

        column = session.per_row(lambda _: [0], accept)
        taken = self.taken

        class Run:
            def process(self, logits, rows):
                counts = torch.tensor([count for (count,) in column[rows]], device=logits.device)
                return logits - (taken * counts)[:, None] * (
                    torch.arange(29, device=rows.device) == 3
                )

        return Run()


class CountingSteps(GoodCounter):
    """Remembers in the run what it should remember per row."""

    def start(self, session):
        taken = self.taken

        class Run:
            steps = 0

            def process(self, logits, rows):
                self.steps += 1
                return logits - taken * self.steps * (torch.arange(29, device=rows.device) == 3)

        return Run()


@pytest.mark.parametrize(
    ("component", "promise"),
    [
        (Undocumented(near=2.0), "no docstring|no description of near"),
        (Mutable(near=2.0), "near can be set"),
        (Forgetful(near=2.0), "makes another component"),
        (Lenient(near=2.0), "accepts no_such_option=1"),
        (Narrowing(near=2.0), r"shape \(5, 28\)"),
        (NotANumber(near=2.0), "NaN"),
        (Reviving(near=2.0), "revives"),
        (Emptying(near=2.0), "no token left"),
        (AlwaysOn(near=2.0), "must be off"),
        (InPlace(near=2.0), "changes the logits it is given"),
        (Coupled(near=2.0), "row . alone"),
        (Positional(near=2.0), "alone|in the order"),
        (ReadingPadding(near=2.0), "left in the padding"),
        (Restless(near=2.0), "alone|the second time"),
        (Noisy(near=2.0), "draws global random numbers"),
        (NumpyNoisy(near=2.0), "draws global random numbers"),
        (Waiting(near=2.0), "reads from the device"),
        (LeftBehind(near=2.0), "reads from the device, or mixes devices"),
        (Remembering(near=2.0), "alone|another answer"),
        (SharingMemory(taken=0.5), "copies share its memory|left in the padding"),
        (CountingSteps(taken=0.5), "does not forget what rows took back"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LogitsProcessor) else "",
)
def test_a_processor_that_breaks_a_promise_is_found(component, promise):
    with pytest.raises(AssertionError, match=promise):
        check_processor(component)


class Unlimited(Sampler):
    """Picks a token that does not exist."""

    def choose(self, logits, rows):
        return logits.argmax(-1) + 29


class Floating(Sampler):
    """Returns numbers that are no ids."""

    def choose(self, logits, rows):
        return logits.argmax(-1).float()


class Blind(Sampler):
    """Picks what is ruled out."""

    def choose(self, logits, rows):
        return logits.argmin(-1)


class Flat(Sampler):
    """Picks one token for all rows."""

    def choose(self, logits, rows):
        return logits.argmax(-1)[:1]


class Inverting(Sampler):
    """Adds up probabilities until they exceed a number."""

    def choose(self, logits, rows):
        reached = logits.double().softmax(-1).cumsum(-1)
        return torch.searchsorted(reached, rows.uniform()[:, None] * reached[:, -1:], right=True)[
            :, 0
        ]


@pytest.mark.parametrize(
    ("sampler", "promise"),
    [
        (Inverting(), r"noise .* changes \d+ of 1000 tokens: draw with rows.race"),
        (Unlimited(), "outside the vocabulary"),
        (Floating(), "expected int64"),
        (Blind(), "ruled out"),
        (Flat(), "shape"),
    ],
)
def test_a_sampler_that_breaks_a_promise_is_found(sampler, promise):
    with pytest.raises(AssertionError, match=promise):
        check_sampler(sampler)


class Nameless(GoodCriterion):
    """Gives no reason."""

    reason: ClassVar[str] = ""


class Counting(GoodCriterion):
    """Returns numbers."""

    def check(self, rows):
        return rows.lengths


class Eager(GoodCriterion):
    """Ends rows when it is off."""

    def check(self, rows):
        return rows.lengths >= self.at


@pytest.mark.parametrize(
    ("criterion", "promise"),
    [
        (Nameless(at=7), "no reason"),
        (Counting(at=7), "expected bool"),
        (Eager(at=7), "must be off"),
    ],
)
def test_a_criterion_that_breaks_a_promise_is_found(criterion, promise):
    with pytest.raises(AssertionError, match=promise):
        check_criterion(criterion)


class Overreaching(GoodText):
    """Holds more than there is."""

    def search(self, text, start):
        return TextEnd(None, len(text) + 1)


class Backwards(GoodText):
    """Ends a text before what was certain."""

    def search(self, text, start):
        return TextEnd(0 if self.mark in text[start:] else None)


class Impatient(GoodText):
    """Holds nothing of a match of two characters."""

    def search(self, text, start):
        at = text.find(self.mark, start) if self.mark else -1
        return TextEnd(at if at >= 0 else None)


class Patient(GoodText):
    """Holds back although it is off."""

    def search(self, text, start):
        return super().search(text, start)._replace(hold=min(1, len(text) - start))


@pytest.mark.parametrize(
    ("criterion", "promise"),
    [
        (Overreaching(mark="."), "holds"),
        (Backwards(mark="."), "ends .* searched from"),
        (Impatient(mark="ab"), "by|cut into|showed"),
        (Patient(mark="."), "ends or holds"),
    ],
)
def test_a_text_criterion_that_breaks_a_promise_is_found(criterion, promise):
    with pytest.raises(AssertionError, match=promise):
        check_text_criterion(criterion)


class Short(GoodDrafter):
    """Proposes fewer than asked for."""

    def propose(self, rows, k):
        return super().propose(rows, k - 1)


class Gaps(GoodDrafter):
    """Goes on behind the end of a proposal."""

    def propose(self, rows, k):
        return super().propose(rows, k).clone().index_fill(1, torch.tensor([1]), -1)


@pytest.mark.parametrize(("drafter", "promise"), [(Short(), "shape"), (Gaps(), "-1 in the middle")])
def test_a_drafter_that_breaks_a_promise_is_found(drafter, promise):
    with pytest.raises(AssertionError, match=promise):
        check_drafter(drafter)


def test_a_component_of_two_roles_is_checked_in_both():
    class Both(Good, StoppingCriterion):
        """Masks and stops."""

    names = [check.__name__ for check in checks_of(Both(near=2.0))]

    assert {"check_logits_come_out", "check_a_mask_comes_out"} <= set(names)
    assert len(set(names)) == len(names)


def _of_page(page):
    """Return the `Sharpen` that a page defines."""
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    blocks = [each.partition("```")[0] for each in text.split("```python\n")[1:]]
    (block,) = (each for each in blocks if "class Sharpen" in each)
    namespace = {"__name__": "page"}
    exec(block.partition("@hookimpl")[0], namespace)  # noqa: S102 - our own documentation
    return namespace["Sharpen"]


@pytest.mark.parametrize("page", ["README.md", "docs/reference/hooks.md"])
def test_the_component_that_documentation_shows_passes(page):
    check_processor(_of_page(page)(sharpen=2.0))


class Silent(LogitsProcessor):
    bare: float = 0.0

    def process(self, logits, rows):
        return logits / 2 - self.bare * logits.clamp(-9.0, 9.0).mean(0)


def test_everything_that_is_found_is_told_behaviour_first():
    with pytest.raises(AssertionError) as caught:
        check_processor(Silent(bare=1.0))

    header, *points = (line for line in str(caught.value).splitlines() if not line.startswith("  "))
    assert "Silent(bare=1.0) breaks 6 promises:" == header
    assert [
        "- Silent(bare=1.0) with an empty row: other rows get another answer",
        "- Silent(bare=0.0) changes the distribution with random logits: it must be off",
        "- Silent(bare=1.0) with random logits: row 0 alone gives another answer",
        "- Silent(bare=1.0): a prompt alone gets another text than among others",
        "- Silent(bare=1.0) gives another text with a drafter than without",
        "- Silent has no docstring",
    ] == points


class NoLogits(Good):
    """Forgets to return."""

    def process(self, logits, rows):
        logits / 2


class NoTokens(Sampler):
    """Returns a list."""

    def choose(self, logits, rows):
        return [0] * len(rows)


class OneAnswer(GoodCriterion):
    """Returns one answer for all."""

    def check(self, rows):
        return False


class NoEnd(GoodText):
    """Returns a number."""

    def search(self, text, start):
        return text.find(self.mark)


class NoProposals(GoodDrafter):
    """Returns lists."""

    def propose(self, rows, k):
        return [[3] * k for _ in range(len(rows))]


class Failing(Good):
    """Divides by zero."""

    def process(self, logits, rows):
        return 1 / 0


@pytest.mark.parametrize(
    ("check", "component", "message"),
    [
        (
            check_processor,
            NoLogits(near=2.0),
            "NoLogits(near=2.0) returns None: expected a tensor of logits, like",
        ),
        (check_sampler, NoTokens(), "expected a tensor of token ids, one for each row"),
        (
            check_criterion,
            OneAnswer(at=7),
            "OneAnswer(at=7) returns False: expected a bool tensor with one entry for each row",
        ),
        (check_text_criterion, NoEnd(mark="."), "returns -1: expected TextEnd(end, hold)"),
        (check_drafter, NoProposals(), "expected a tensor of token ids with a line for each row"),
        (
            check_processor,
            Failing(near=2.0),
            "Failing(near=2.0) raises ZeroDivisionError in logits_come_out: division by zero",
        ),
    ],
)
def test_an_answer_of_the_wrong_kind_is_said_with_its_promise_and_remedy(check, component, message):
    with pytest.raises(AssertionError) as caught:
        check(component)

    found, promised, remedy = str(caught.value).splitlines()
    assert message in found
    assert promised.startswith("promised: ")
    assert remedy.startswith("to do: ")


class CutAndStop(Good, StoppingCriterion):
    """Cuts the tail, and ends rows at a length."""

    reason: ClassVar[str] = "cut"

    def check(self, rows):
        # Both roles have a method of this name: a processor is asked about prompts.
        return None if isinstance(rows, Prompt) else rows.lengths >= (7 if self.near else 10**6)


class CutAndNothing(CutAndStop):
    """Does not say which rows end."""

    def check(self, rows):
        return rows.lengths


def test_each_role_of_a_component_is_asked_for_its_own_answers():
    check_processor(CutAndStop(near=2.0))
    check_criterion(CutAndStop(near=2.0))
    with pytest.raises(AssertionError, match="int64, expected bool"):
        check_processor(CutAndNothing(near=2.0))
