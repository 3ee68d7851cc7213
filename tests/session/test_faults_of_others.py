"""A component that raises once, and never again, ends the calls that have it and no others."""

from typing import ClassVar

import pytest

from gpt2sdk import GenerationError, Generator, LogitsProcessor, StoppingCriterion
from gpt2sdk.testing import Letters, TableModel

FIXED = {"eos_token_id": None, "max_new_tokens": 12}


class Once(LogitsProcessor):
    """Raises at the fourth time that it acts, with however many rows."""

    times: ClassVar[int] = 0
    once: bool = False

    def process(self, logits, rows):
        type(self).times += 1
        if type(self).times == 4:
            raise ZeroDivisionError("once")
        return logits


class EndsOnce(StoppingCriterion):
    """The same, for a criterion."""

    times: ClassVar[int] = 0
    ends_once: bool = False

    def check(self, rows):
        type(self).times += 1
        if type(self).times == 4:
            raise ZeroDivisionError("once")
        return [False] * len(rows)


@pytest.fixture
def gen():
    letters = Letters()
    Once.times = EndsOnce.times = 0
    model = TableModel(len(letters.alphabet), order=1)
    return Generator(model, letters, decoder=letters, eos_token_ids=[])


@pytest.mark.parametrize(
    "faulty", [{"processors": [Once(once=True)]}, {"stopping": [EndsOnce(ends_once=True)]}]
)
def test_who_has_it_fails_and_a_neighbour_goes_on(gen, faulty):
    alone = gen.generate("abc", seed=1, **FIXED)
    engine = gen.engine()
    failing = gen.stream("abd", engine=engine, seed=2, **faulty, **FIXED)
    neighbour = gen.stream("abc", engine=engine, seed=1, **FIXED)
    while engine.step():
        pass

    with pytest.raises(GenerationError, match="once"):
        list(failing)
    assert "".join(delta.text for delta in neighbour) == alone.text


def test_a_call_that_nobody_shares_ends_at_once(gen):
    with pytest.raises(GenerationError, match="once") as caught:
        gen.generate(["abc", "abd"], seed=1, processors=[Once(once=True)], **FIXED)

    assert [3, 3] == [len(each.tokens) for each in caught.value.partial.completions]


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "metropolis_hastings", "potential": lambda _: 0.0, "num_moves": 5},
        {"strategy": "smc", "potential": lambda _: 0.0, "num_particles": 4},
        {"strategy": "backtrack", "banned_phrases": ["a", "b", "c"]},
        {"strategy": "tree_search", "value": lambda *_: 0.5, "num_simulations": 3},
        {"strategy": "beam", "num_beams": 3},
    ],
    ids=lambda options: options["strategy"],
)
def test_a_fault_is_no_bad_hypothesis(gen, options):
    name = options["strategy"]
    if name in {"metropolis_hastings", "smc"}:
        pytest.importorskip("gpt2sdk_steering", reason=f"{name} comes with it")
    with pytest.raises(GenerationError, match="once"):
        gen.generate("abc", seed=1, processors=[Once(once=True)], **options, **FIXED)
