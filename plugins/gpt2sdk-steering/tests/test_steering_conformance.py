"""Every strategy: in batches, cancelled, out of weight, stopped; and values of their options."""

import math
import threading

import pytest
import torch

from gpt2sdk import GenerationError, Generator, LogitsProcessor, OptionError
from gpt2sdk.testing import Letters, TableModel, parametrize_with_checks
from gpt2sdk_steering import AllowedTokens, MirrorPotential, Potential
from gpt2sdk_steering.awrs import awrs
from gpt2sdk_steering.metropolis_hastings import metropolis_hastings
from gpt2sdk_steering.particle_gibbs import particle_gibbs
from gpt2sdk_steering.power_sampling import power_sampling
from gpt2sdk_steering.smc import smc

LETTERS = Letters("abcdefg")
END = 7
PROMPTS = [[0, 3], [5], [1, 1, 2]]


def bees(text):
    return 1.5 * text.count("b")


class Ban(LogitsProcessor):
    """Rules a and d out."""

    ban: bool = False

    def process(self, logits, rows):
        return logits.index_fill(1, torch.tensor([0, 3]), -math.inf)


def no_c(text):
    return -math.inf if "c" in text else 0.0


class Bees(Potential):
    """The same, with next tokens known."""

    def prefix(self, continuation):
        return bees(continuation.text)

    def next(self, continuation):
        return torch.tensor([0.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])


STRATEGIES = {
    "smc": {"strategy": "smc", "potential": bees, "num_particles": 6},
    "smc, next": {"strategy": "smc", "potential": Bees(), "num_particles": 6, "ess_threshold": 1.0},
    "smc, units": {"strategy": "smc", "potential": bees, "num_particles": 6, "unit": 3},
    "smc, ragged": {
        "strategy": "smc",
        "potential": bees,
        "num_particles": 6,
        "unit": lambda it: it.text[-1:] in "bd",
    },
    "smc, beams": {
        "strategy": "smc",
        "potential": bees,
        "num_particles": 6,
        "beam_factor": 2,
        "resampling": "optimal",
    },
    "smc, mirror": {
        "strategy": "smc",
        "potential": MirrorPotential("gg") ** 0.5,
        "num_particles": 6,
    },
    "awrs": {"strategy": "awrs", "constraint": no_c, "potential": bees, "num_particles": 6},
    "particle_gibbs": {
        "strategy": "particle_gibbs",
        "potential": bees,
        "num_particles": 4,
        "num_iterations": 3,
    },
    "particle_gibbs, ancestors": {
        "strategy": "particle_gibbs",
        "potential": bees,
        "num_particles": 4,
        "ess_threshold": 1.0,
        "ancestor_sampling": True,
        "unit": 2,
    },
    "metropolis_hastings": {"strategy": "metropolis_hastings", "potential": bees, "num_moves": 5},
    "power_sampling": {
        "strategy": "power_sampling",
        "alpha": 1.2,
        "num_moves": 3,
        "block_size": 3,
        "potential": bees,
    },
}
each_strategy = pytest.mark.parametrize("name", STRATEGIES)


@pytest.fixture(scope="module")
def gen():
    model = TableModel(vocab_size=8, scale=1.0, bias={END: 1.0}, seed=9)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def told(result):
    return [(each.tokens, each.text, each.finish_reason, each.score) for each in result.completions]


@each_strategy
@pytest.mark.parametrize("more", [{}, {"repetition_penalty": 1.3, "temperature": 0.8}], ids=str)
def test_prompts_do_not_know_each_other(gen, name, more):
    options = {**STRATEGIES[name], "num_return_sequences": 3, "stop": ["gd"], **more}
    rooms, seeds = [9, 4, 7], [4, 5, 6]
    together = gen.generate(PROMPTS, seed=seeds, max_new_tokens=rooms, **options)
    alone = [
        told(gen.generate(prompt, seed=seed, max_new_tokens=room, **options))
        for prompt, seed, room in zip(PROMPTS, seeds, rooms, strict=True)
    ]

    assert told(together) == [each for result in alone for each in result]


@each_strategy
def test_equal_seeds_give_equal_texts_and_others_others(gen, name):
    options = {**STRATEGIES[name], "num_return_sequences": 3, "max_new_tokens": 8}
    first, again, other = (told(gen.generate(PROMPTS, seed=s, **options)) for s in (1, 1, 2))

    assert first == again
    assert first != other


@each_strategy
def test_a_drafter_changes_nothing(gen, name):
    options = {**STRATEGIES[name], "num_return_sequences": 3, "max_new_tokens": 8, "seed": 3}

    assert told(gen.generate(PROMPTS, **options)) == told(
        gen.generate(PROMPTS, drafter="prompt_lookup", **options)
    )


@each_strategy
def test_streams_are_what_generate_gives(gen, name):
    options = {**STRATEGIES[name], "num_return_sequences": 2, "max_new_tokens": 8, "seed": 3}
    texts = {}
    for delta in gen.stream(PROMPTS, **options):
        key = delta.prompt_index, delta.sample_index
        texts[key] = texts.get(key, "") + delta.text

    assert [texts[key] for key in sorted(texts)] == gen.generate(PROMPTS, **options).texts


@each_strategy
def test_cancelled_calls_give_what_there_is(gen, name):
    options = {**STRATEGIES[name], "num_return_sequences": 2, "seed": 3, "eos_token_id": None}
    calls, cancel = gen.model.calls, threading.Event()

    def stop_at_four(rows):
        if gen.model.calls >= calls + 4:
            cancel.set()
        return False

    result = gen.generate(
        PROMPTS, max_new_tokens=60, cancel=cancel, stopping=[stop_at_four], **options
    )

    assert {"cancelled"} == {each.finish_reason for each in result.completions}
    assert len(PROMPTS) * 2 == len(result.completions)
    assert all(each.tokens for each in result.completions)


@each_strategy
def test_a_prompt_without_weight_leaves_the_others_alone(gen, name):
    class NotAfterF(Potential):
        """No text at all has weight behind a prompt that begins with f."""

        def prefix(self, continuation):
            return -math.inf if continuation.prompt.tokens[0] == 5 else bees(continuation.text)

    options = {
        **STRATEGIES[name],
        "num_return_sequences": 2,
        "max_new_tokens": 6,
        "seed": [1, 2, 3],
    }
    options["potential"] = NotAfterF()
    result = gen.generate(PROMPTS, **options)
    found = [each for each in result.completions if each.prompt_index == 1]
    alone = gen.generate(PROMPTS[2], **{**options, "seed": 3})

    assert [None, None] == [each.score for each in found]
    assert {"zero_weight"} == {each.finish_reason for each in found}
    assert told(alone) == told(result)[-2:]
    assert all(each.score is not None for each in result.completions if each.prompt_index != 1)


@each_strategy
def test_a_processor_that_raises_for_a_prompt_leaves_the_others_alone(gen, name):
    class Raises(LogitsProcessor):
        """Raises once a row that began with f has written something."""

        raises: bool = False

        def process(self, logits, rows):
            if any(row[0] == 5 and len(row) > 3 for row in rows.histories()):
                message = "f"
                raise RuntimeError(message)
            return logits

    options = {**STRATEGIES[name], "num_return_sequences": 2, "max_new_tokens": 6}
    options |= {"seed": [1, 2, 3], "eos_token_id": None}
    with pytest.raises(GenerationError) as caught:
        gen.generate(PROMPTS, processors=[Raises(raises=True)], **options)
    partial = caught.value.partial
    alone = gen.generate(PROMPTS[2], **{**options, "seed": 3})

    assert told(alone) == [
        one
        for one, each in zip(told(partial), partial.completions, strict=True)
        if each.prompt_index == 2
    ]


@each_strategy
def test_a_constraint_of_the_chain_holds(gen, name):
    options = {**STRATEGIES[name], "num_return_sequences": 3, "max_new_tokens": 8, "seed": 3}
    result = gen.generate(PROMPTS, processors=[Ban(ban=True)], **options)

    assert not any(letter in text for text in result.texts for letter in "ad")


@each_strategy
def test_a_sampler_is_refused(gen, name):
    with pytest.raises(OptionError, match="sampler has no effect"):
        gen.generate("a", sampler="greedy", **STRATEGIES[name])


@pytest.mark.parametrize("name", ["smc", "awrs", "particle_gibbs"])
def test_there_are_no_more_completions_than_particles(gen, name):
    with pytest.raises(OptionError, match=r"there are (4|6) particles"):
        gen.generate("a", num_return_sequences=7, **STRATEGIES[name])


def test_optimal_resampling_needs_a_choice(gen):
    with pytest.raises(OptionError, match="beam_factor of 2 or more"):
        gen.generate("a", strategy="smc", resampling="optimal")


def test_a_constraint_says_yes_or_no(gen):
    with pytest.raises(Exception, match="expected 0 for what it accepts"):
        gen.generate("a", strategy="awrs", constraint=lambda text: -1.0, seed=1)


@pytest.mark.parametrize(("strategy", "option"), [("awrs", "constraint"), ("smc", "potential")])
def test_what_no_potential_can_be_made_of_is_named_by_its_option(gen, strategy, option):
    with pytest.raises(OptionError) as caught:
        gen.generate("a", strategy=strategy, **{option: 5})

    expected = "should be a Potential, a function from a text to a log weight, or a logits"
    assert f"{option} {expected} processor, got 5" in str(caught.value)
    assert option == caught.value.name
    assert 1 == str(caught.value).count("got")


def test_every_text_ends_at_the_limit_with_an_end_token(gen):
    options = {"strategy": "smc", "num_particles": 8, "num_return_sequences": 8, "seed": 3}
    ended = gen.generate("a", max_new_tokens=3, **options)
    cut = gen.generate("a", max_new_tokens=3, at_limit="cut", **options)

    assert {END} == {each.tokens[-1] for each in ended.completions}
    assert {"end_token"} == {each.finish_reason for each in ended.completions}
    assert "length" in {each.finish_reason for each in cut.completions}


@each_strategy
def test_where_no_end_token_may_stand_at_the_limit_the_reason_says_so(gen, name):
    options = {**STRATEGIES[name], "num_return_sequences": 2, "seed": [1, 2, 3]}
    options |= {"max_new_tokens": 4, "min_new_tokens": [0, 4, 0]}
    found = gen.generate(PROMPTS, **options, at_limit="end").completions
    cut = gen.generate(PROMPTS, **options, at_limit="cut").completions
    first = [each for each in found if each.prompt_index != 1]

    assert [("ruled_out", None, 3)] * 2 == [
        (each.finish_reason, each.score, len(each.tokens))
        for each in found
        if each.prompt_index == 1
    ]
    assert {"end_token"} == {each.finish_reason for each in first}
    assert {"length"} == {each.finish_reason for each in cut if each.prompt_index == 1}
    assert None not in {each.score for each in cut}


def test_texts_are_finished_where_they_are_told_to(gen):
    result = gen.generate(
        "a",
        strategy="smc",
        num_particles=8,
        num_return_sequences=8,
        terminate_when=lambda it: it.text.endswith("f"),
        potential=bees,
        max_new_tokens=8,
        seed=3,
    )

    assert all(text.find("f") in {-1, len(text) - 1} for text in result.texts)
    assert "terminated" in {each.finish_reason for each in result.completions}


def test_potentials_are_asked_once_a_unit(gen):
    asked = []

    class Count(Potential):
        """Takes note of what it is asked about."""

        def prefix(self, continuation):
            asked.append(len(continuation.tokens))
            return 0.0

    options = {"num_particles": 2, "unit": 4, "eos_token_id": None, "max_new_tokens": 8, "seed": 3}
    gen.generate("a", strategy="smc", potential=Count(), **options)

    assert [4, 4, 8, 8] == asked


def test_particles_of_a_prompt_read_it_once(gen):
    result = gen.generate(
        "abcdef", strategy="smc", num_particles=8, potential=bees, max_new_tokens=1, seed=3
    )

    assert 6 == result.usage.tokens_fed


def test_a_stop_string_is_no_part_of_what_is_weighed(gen):
    seen = []
    gen.generate(
        "a",
        strategy="smc",
        num_particles=8,
        potential=lambda text: float(seen.append(text) or 0),
        stop=["b"],
        max_new_tokens=6,
        seed=3,
    )

    assert not any("b" in text for text in seen)


def test_awrs_asks_about_few_tokens(gen):
    asked = []

    def count(text):
        asked.append(text)
        return 0.0

    options = {"max_new_tokens": 6, "eos_token_id": None, "num_particles": 1, "seed": 3}
    gen.generate("a", strategy="awrs", constraint=count, **options)

    # Two accepted tokens for each of six, and the whole text at the end.
    assert 2 * 6 + 1 == len(asked)


def test_a_constraint_conditions_whole_texts(gen):
    allowed = AllowedTokens(lambda it: [0, 1, END])
    result = gen.generate("a", strategy="smc", potential=allowed, max_new_tokens=6, seed=3)

    assert set(result.text) <= set("ab")


COMPONENTS = [
    smc.component(num_particles=3),
    awrs.component(constraint=no_c),
    particle_gibbs.component(num_iterations=2),
    metropolis_hastings.component(num_moves=3),
    power_sampling.component(alpha=2.0),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)
