"""What was in force is recorded so that it can be given again."""

import json

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.components.strategy import strategy
from gpt2sdk.defaults import greedy
from gpt2sdk.options import compose, each


class Heat(LogitsProcessor):
    """Shapes a draw."""

    stage = Stage.TEMPERATURE
    heat: float = Field(1.0, ge=0)


class Ban(LogitsProcessor):
    """Rules tokens out."""

    stage = Stage.CONSTRAIN
    ban: tuple[int, ...] = ()


class Dry(LogitsProcessor):
    """Has several options."""

    stage = Stage.PENALTY
    rank = 5
    dry: float = 0.0
    base: float = Field(1.75, ge=1)
    breakers: tuple[str, ...] = ("\n",)


class Words(StoppingCriterion):
    """A token criterion."""

    words: int | None = None


class Tuned(Sampler):
    """A sampler with an option that a strategy has as well."""

    tau: float = 5.0
    width: int = 1


class Lookup(Drafter):
    """A drafter with options."""

    ngram: int = Field(3, ge=1)


@strategy(draws=False, hold=None)
def wide(session, *, width: int = 4, base: float = 2.0):
    """Compare rows."""
    yield from ()


@strategy(hold=3)
def careful(session, *, width: int = 2):
    """Take tokens back."""
    yield from ()


COMPONENTS = (Heat, Ban, Dry, Words, Tuned, Lookup, wide, careful)


def ban_nothing(logits, rows):
    return logits


def test_what_was_in_force_is_recorded_with_defaults_and_versions(composed):
    result = composed(dry=1.0, seed=7, processors=[Heat(heat=0.5), ban_nothing])

    assert {
        "strategy": "sample",
        "sampler": "multinomial",
        "max_new_tokens": None,
        "seed": 7,
        "eos_token_id": [50256],
        "num_return_sequences": 1,
        "batch_size": 32,
        "overflow": "error",
        "logprobs": None,
        "dry": 1.0,
        "base": 1.75,
        "breakers": ["\n"],
        "processors": [
            {"name": "heat", "heat": 0.5},
            {"name": "ban_nothing", "function": f"{__name__}.ban_nothing"},
        ],
        "versions": {"gpt2sdk": "0.1.0"},
    } == result.in_force


@given(
    heat=st.sampled_from([1.0, 0.5, [0.5, 1.0], None]),
    dry=st.sampled_from([0.0, 1.0, [1.0, 2.0]]),
    ban=st.sampled_from([(), (1, 2), each([[1], [2]])]),
    words=st.sampled_from([None, 5, [5, None]]),
    strategy=st.sampled_from(["sample", "careful"]),
    sampler=st.sampled_from([None, "tuned"]),
    drafter=st.sampled_from([None, "lookup"]),
    seed=st.sampled_from([None, 3, [3, 4]]),
    max_new_tokens=st.sampled_from([None, 5, [5, 6]]),
    eos_token_id=st.sampled_from(["model", None, 3]),
)
def test_what_was_in_force_gives_the_same_plan_again(composed, registry, **options):
    first = composed(2, **options)
    recorded = json.loads(json.dumps(first.in_force))
    recorded.pop("versions")

    assert first == compose(recorded, registry=registry, prompts=2)


def test_a_sampler_that_does_not_act_is_not_recorded(composed, registry):
    recorded = dict(composed(strategy="greedy", seed=1).in_force)

    assert "sampler" not in recorded
    assert recorded.pop("versions")
    assert greedy.component() == compose(recorded, registry=registry).lead.strategy


def test_unclear_names_are_recorded_with_a_dot(composed):
    result = composed(strategy="careful", sampler="tuned", dry=1.0)

    assert {"careful.width", "tuned.width", "base", "tau"} <= result.in_force.keys()
    wider = composed(strategy="wide", dry=1.0)
    assert {"base", "dry.base"} <= wider.in_force.keys()
