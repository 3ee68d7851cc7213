"""Random results are repeated from their recorded options alone: texts, tokens, log-probabilities.

What acts comes from the lists that the plugins' conformance tests are run with, and from options
by name, so that whatever is added there is repeated here.
"""

import json
import random
import runpy
from pathlib import Path

import pytest

from gpt2sdk import (
    CallRecord,
    Drafter,
    GenerationError,
    Generator,
    LogitsProcessor,
    OptionError,
    Sampler,
    StoppingCriterion,
    Strategy,
    TextCriterion,
    each,
)
from gpt2sdk.testing import Letters, TableModel

ROOT = Path(__file__).parents[1]
VOCAB_SIZE, END, MOST = 29, 28, 10
LETTERS = Letters()
RESULTS = 200


def listed(role):
    """Everything of a role that a conformance test is run with, but what depends on the clock."""
    modules = sorted(ROOT.glob("plugins/*/tests/test_*conformance.py"))
    values = [each for path in modules for each in runpy.run_path(str(path)).get("COMPONENTS", ())]
    return [each for each in values if isinstance(each, role) and each.name != "max_time"]


PROCESSORS = listed(LogitsProcessor)
CRITERIA = listed((StoppingCriterion, TextCriterion))
SAMPLERS = listed(Sampler)
DRAFTERS = listed(Drafter)
STRATEGIES = listed(Strategy)

COLUMNS = {
    "temperature": [0.5, 0.8, 1.3, None],
    "top_k": [3, 9, 0],
    "top_p": [0.5, 0.9, 1.0],
    "repetition_penalty": [1.0, 1.2, None],
    "dry_multiplier": [0.0, 0.8],
    "stop": [["ab"], None, ["c", "dd"]],
    "bad_words": [["a"], None, ["bc", [3, 4]]],
    "no_repeat_ngram_size": [0, 2, 3],
    "logit_bias": [{3: 2.0, 5: -1.0}, None],
    "stop_token_ids": [[4], [], [7, 9]],
}
"""Options with values to choose from: one for all prompts, or one for each."""
LEADING = {
    "num_beams": [2, 3, 4],
    "best_of": [2, 3],
    "num_particles": [2, 4],
    "num_moves": [1, 2],
    "mirostat_tau": [2.0, 4.0],
}


def make_generator():
    model = TableModel(VOCAB_SIZE, order=1, bias={END: -1.0}, context_length=512)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def told(gen, prompts, **options):
    """Return what a call made, and its record."""
    try:
        result = gen.generate(prompts, **options)
    except GenerationError as error:
        result = error.partial
    made = [
        (
            one.prompt_index,
            one.sample_index,
            one.text,
            one.tokens,
            one.finish_reason,
            one.logprobs,
            one.processed_logprobs,
            one.top_logprobs,
            one.score,
        )
        for one in result.completions
    ]
    return made, result.record


def some_call(dice):
    """Return prompts and options of a call; they may not go together."""
    count = dice.randint(1, 3)
    prompts = [
        [dice.randrange(VOCAB_SIZE - 1) for _ in range(dice.randint(1, 5))] for _ in range(count)
    ]
    options = {
        "max_new_tokens": dice.choice([MOST, [dice.randint(1, MOST) for _ in range(count)]]),
        "logprobs": dice.choice([0, 2]),
        "batch_size": dice.randint(1, 4),
        "seed": dice.choice([None, dice.randrange(99), [dice.randrange(99) for _ in range(count)]]),
        "processors": dice.sample(PROCESSORS, dice.randint(0, 2)),
        "stopping": dice.sample(CRITERIA, dice.randint(0, 1)),
        "num_return_sequences": dice.choice([1, 1, 2, [dice.randint(1, 2) for _ in range(count)]]),
    }
    for name in dice.sample(sorted(COLUMNS), dice.randint(0, 3)):
        column = [dice.choice(COLUMNS[name]) for _ in range(count)]
        options[name] = dice.choice([each(column), column[0]])
    kind = dice.choice(["sample", "sample", "object", "named", "named"])
    if kind == "object":
        options["strategy"] = dice.choice(STRATEGIES)
    if kind == "named":
        name = dice.choice(
            ["greedy", "beam", "best_of_n", "smc", "metropolis_hastings", "mirostat"]
        )
        options["sampler" if name == "mirostat" else "strategy"] = name
        option = {
            "beam": "num_beams",
            "best_of_n": "best_of",
            "smc": "num_particles",
            "metropolis_hastings": "num_moves",
            "mirostat": "mirostat_tau",
        }.get(name)
        if option:
            options[option] = [dice.choice(LEADING[option]) for _ in range(count)]
    elif kind == "sample":
        options["sampler"] = dice.choice([None, *SAMPLERS])
    options["drafter"] = dice.choice([None, None, "prompt_lookup", "suffix", *DRAFTERS])
    return prompts, {name: value for name, value in options.items() if value is not None}


@pytest.fixture(scope="module")
def calls():
    """Random calls that work, each with what it made and its record; 200 need nothing else."""
    dice, gen = random.Random(5), make_generator()  # noqa: S311 - no secret
    made, alone = [], 0
    for _ in range(10 * RESULTS):
        prompts, options = some_call(dice)
        try:
            made.append((prompts, options, *told(gen, prompts, **options)))
        except OptionError:
            continue  # some do not go together, and say so before work begins
        alone += not made[-1][-1].unrepeatable
        if alone == RESULTS:
            return made
    pytest.fail("hardly any call was made")


def test_results_are_repeated_from_their_records_alone(calls):
    repeated = 0
    for prompts, _, made, record in calls:
        if not record.unrepeatable:
            text = record.to_json()
            again, second = told(make_generator(), prompts, config=json.loads(text))
            assert made == again
            assert json.loads(text) == json.loads(second.to_json())
            repeated += 1

    assert RESULTS == repeated


def test_what_a_record_cannot_set_is_named_and_repeats_with_the_call(calls):
    some = [call for call in calls if call[-1].unrepeatable][:40]
    for prompts, options, made, record in some:
        gen = make_generator()
        with pytest.raises(OptionError, match="the record cannot repeat its call alone") as caught:
            gen.generate(prompts, config=record)
        names = {name.rpartition(".")[2] for name in record.unrepeatable}
        assert all(f"{name}=…" in str(caught.value) for name in record.unrepeatable)
        lead = [n for n in ("strategy", "drafter", "sampler") if n in options]
        beside = {name: options[name] for name in options if name in names or name in LISTS} | {
            name: options[name] for name in lead if owns(options[name], names)
        }
        again, _ = told(gen, prompts, config=record, **beside)
        assert made == again

    assert len(some) > 10


LISTS = ("processors", "stopping")


def owns(component, names):
    """Whether a component handed in ready-made has one of these options."""
    return bool(names & set(getattr(type(component), "model_fields", ())))


def test_each_prompt_of_a_result_is_repeated_by_itself(calls):
    for prompts, _, made, record in calls[:60]:
        if record.unrepeatable:
            continue
        for index, prompt in enumerate(prompts):
            again, _ = told(make_generator(), prompt, config=record.for_prompt(index))
            mine = [one[1:] for one in made if one[0] == index]
            assert mine == [one[1:] for one in again]


def test_a_record_is_the_same_from_json(calls):
    for *_, record in calls[:40]:
        again = CallRecord.from_json(record.to_json())
        assert json.loads(record.to_json()) == json.loads(again.to_json())
