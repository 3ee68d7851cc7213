"""Settings are checked, passed on and drawn or derived where they have to be."""

import pytest
from pydantic import Field

from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.defaults import Multinomial, sample
from gpt2sdk.errors import OptionError
from gpt2sdk.options import compose, each
from gpt2sdk.rng import derive


class Heat(LogitsProcessor):
    """Shapes a draw."""

    stage = Stage.TEMPERATURE
    heat: float = Field(1.0, ge=0)


class Ban(LogitsProcessor):
    """Rules tokens out."""

    stage = Stage.CONSTRAIN
    ban: tuple[int, ...] = ()


COMPONENTS = (Heat, Ban)


def test_defaults(composed):
    empty = composed()

    assert sample.component() == empty.lead.strategy
    assert Multinomial() == empty.lead.sampler
    assert ((), (), (), None) == (
        empty.processors,
        empty.criteria,
        empty.text_criteria,
        empty.lead.drafter,
    )
    assert (frozenset({50256}), (None,), 1, 32) == (
        empty.eos_token_ids,
        empty.max_new_tokens,
        empty.lead.num_return_sequences,
        empty.batch_size,
    )
    assert ("error", None) == (empty.lead.overflow, empty.logprobs)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("max_new_tokens", 0, "max_new_tokens should be greater than or equal to 1, got 0"),
        ("max_new_tokens", 2.5, "max_new_tokens should be a valid integer, got 2.5"),
        ("max_new_tokens", True, "max_new_tokens should be a valid integer, got True"),
        ("max_new_tokens", [5, 0], "max_new_tokens has 2 values for 1 prompt: give one for each"),
        ("num_return_sequences", 0, "num_return_sequences should be greater than or equal to 1"),
        ("batch_size", -1, "batch_size should be greater than or equal to 1, got -1"),
        ("batch_size", "8", "batch_size should be a valid integer, got '8'"),
        ("seed", 1.5, "seed should be a valid integer, got 1.5"),
        ("eos_token_id", -1, "eos_token_id should be greater than or equal to 0, got -1"),
        ("eos_token_id", "end", "a valid integer or a list or 'model', got 'end'"),
        ("eos_token_id", [1, -2], "eos_token_id[1] should be greater than or equal to 0, got -2"),
        ("overflow", "cut", "overflow should be 'error' or 'slide', got 'cut'"),
        ("logprobs", "processed", "logprobs is a number: 0 records each token's log-probability"),
        ("logprobs", True, "logprobs is a number: 0 records each token's log-probability, n also"),
        ("logprobs", -1, "logprobs should be greater than or equal to 0, got -1"),
        ("num_return_sequences", [1, 2], "num_return_sequences has 2 values for 1 prompt"),
        ("overflow", each(["slide"]), "overflow is one value for all prompts"),
        ("strategy", each(["greedy"]), "strategy is one value for all prompts"),
        ("batch_size", each([1]), "batch_size is one value for all prompts"),
        ("processors", each([[]]), "processors takes a list of components and callables"),
        ("processors", 3, "processors takes a list of components and callables"),
        ("heat", -1.0, "heat should be greater than or equal to 0, got -1.0"),
        ("heat", float("nan"), "heat should be a finite number, got nan"),
        ("heat", "warm", "heat should be a valid number, got 'warm'"),
        ("heat", True, "heat should be a valid number, got True"),
        ("ban", [1, "two"], "ban[1] should be a valid integer, got 'two'"),
    ],
)
def test_wrong_values_are_refused_in_one_line(refusal, option, value, message):
    assert message in refusal(**{option: value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("model", {50256}), (None, set()), (7, {7}), ([7, 8], {7, 8}), ((), set())],
)
def test_end_tokens(composed, value, expected):
    assert expected == composed(eos_token_id=value).eos_token_ids


def test_settings_are_passed_on(composed):
    result = composed(num_return_sequences=3, batch_size=4, overflow="slide", logprobs=5, seed=7)

    assert (3, 4, "slide", 5, (7,)) == (
        result.lead.num_return_sequences,
        result.batch_size,
        result.lead.overflow,
        result.logprobs,
        result.seeds,
    )


def test_one_seed_is_derived_for_each_prompt_and_a_list_is_taken_as_it_is(composed, refusal):
    assert (7, derive(7, 1), derive(7, 2)) == composed(3, seed=7).seeds
    assert (7, 7, -1) == composed(3, seed=[7, 7, -1]).seeds
    assert (7, 8) == composed(2, seed=each([7, 8])).seeds
    assert "seed has 2 values for 3 prompts" in refusal(prompts=3, seed=[1, 2])


def test_a_seed_that_is_not_given_is_drawn_and_recorded(composed):
    first, second = composed(2), composed(2)

    assert first.seeds != second.seeds
    assert first.in_force["seed"] == first.seeds[0]
    assert first.seeds == composed(2, seed=first.in_force["seed"]).seeds
    mixed = composed(2, seed=each([5, None]))
    assert list(mixed.seeds) == mixed.in_force["seed"]


def test_lengths_may_differ_from_prompt_to_prompt(composed, refusal):
    assert (5, None) == composed(2, max_new_tokens=[5, None]).max_new_tokens
    assert (5,) == composed(2, max_new_tokens=5).max_new_tokens
    assert "max_new_tokens should be greater" in refusal(prompts=2, max_new_tokens=[5, 0])


@pytest.mark.parametrize("name", ["do_sample", "max_length", "logits_processor"])
def test_names_of_other_libraries_are_answered_with_ours(composed, name):
    with pytest.raises(OptionError, match=f"there is no option {name}: .*(strategy|max_new|proc)"):
        composed(**{name: 1})


def test_end_tokens_of_the_model_are_filled_in_later(registry):
    open_ended = compose({"seed": 1}, registry=registry)
    closed = open_ended.ending_at([5, 3])

    assert (None, "model") == (open_ended.eos_token_ids, open_ended.in_force["eos_token_id"])
    assert ({3, 5}, [3, 5]) == (closed.eos_token_ids, closed.in_force["eos_token_id"])
    assert compose({"seed": 1, "eos_token_id": [3, 5]}, registry=registry) == closed
    assert closed == closed.ending_at([7])
