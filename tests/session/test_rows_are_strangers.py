"""A row's result depends on its prompt, its options and its seed, and on nothing else."""

import random

import pytest

from gpt2sdk import each
from gpt2sdk.options.given import Each

PENALTIES = {"repetition_penalty": 1.2, "frequency_penalty": 0.4, "no_repeat_ngram_size": 3}
TRUNCATION = {"temperature": 0.9, "top_k": 9, "top_p": 0.95}
GUIDANCE = {"guidance_scale": 1.5, "negative_prompt": "ba"}
MIROSTAT = {"sampler": "mirostat", "mirostat_tau": 2.0, "mirostat_eta": 0.3}
BANS = {
    "strategy": "backtrack",
    "banned_phrases": ["a", "in", "cb", "ed", "h."],
    "stop": ["ij", "e "],
}
MEMORY = {"entropy": 0.1}
EACH = {
    "temperature": each([0.5 + place / 10 for place in range(16)]),
    "repetition_penalty": each([None, 1.1, 1.3, 1.5] * 4),
    "no_repeat_ngram_size": each([2, None] * 8),
    "guidance_scale": each([1.5, None, 2.0, 0.5] * 4),
    "negative_prompt": each(["ab", None, "ba", "e"] * 4),
    "stop": each([["ab"], None, ["j"], ["i", "gf"]] * 4),
    "entropy": each([0.1, None, 0.3, None] * 4),
    "max_new_tokens": each([12, 5, 9, 1] * 4),
}
CASES = {
    "sample": {},
    "sample, two of each": {"num_return_sequences": 2, **TRUNCATION},
    "sample with penalties": {**PENALTIES, **TRUNCATION},
    "sample with memory": MEMORY,
    "sample with guidance": GUIDANCE,
    "mirostat": MIROSTAT,
    "greedy": {"strategy": "greedy", **PENALTIES, **GUIDANCE, **MEMORY},
    "backtrack": BANS,
    "backtrack with everything": {**BANS, **PENALTIES, **GUIDANCE, **MIROSTAT, **MEMORY},
    "options of each": EACH,
    "beam": {"strategy": "beam", "num_return_sequences": 2, **PENALTIES, **GUIDANCE, **MEMORY},
}
MIXED = [case for case in CASES if {"with", "each", "beam", "greedy"} & set(case.split())]


def outcome(generator, prompts, order, options, **more):
    """Return what each prompt got in a call of those named in `order`."""
    chosen = {
        name: each([value.values[place] for place in order]) if isinstance(value, Each) else value
        for name, value in {"max_new_tokens": 12, **options}.items()
    }
    result = generator.generate(
        [prompts[place] for place in order], seed=[100 + place for place in order], **chosen, **more
    )
    got = {}
    for each_one in result.completions:
        essence = each_one.tokens, each_one.text, each_one.finish_reason
        got.setdefault(order[each_one.prompt_index], []).append(essence)
    return got


def alone(generator, prompts, options):
    each_alone = [outcome(generator, prompts, [place], options) for place in range(len(prompts))]
    return {place: got for one in each_alone for place, got in one.items()}


@pytest.mark.parametrize(
    ("model", "case"), [*[("table", case) for case in CASES], *[("gpt2", case) for case in MIXED]]
)
def test_a_prompt_alone_gets_what_it_gets_in_any_company(model, case, generators):
    generator, prompts = generators[model]
    assert_strangers(generator, prompts[:8] if model == "gpt2" else prompts, case)


@pytest.mark.parametrize("case", ["options of each", "beam"])
def test_so_it_is_whatever_runs_the_model(case, generators, run_generator):
    assert_strangers(run_generator, generators["gpt2"][1][:6], case)


def assert_strangers(generator, prompts, case):
    """Each prompt gets the same alone, in batches, and in other company."""
    expected = alone(generator, prompts, CASES[case])

    chance = random.Random(case)  # noqa: S311 - test data
    for size in (2, 5, 16):
        order = chance.sample(range(len(prompts)), len(prompts))
        assert expected == outcome(generator, prompts, order, CASES[case], batch_size=size)
    for size in (3, min(7, len(prompts))):
        order = chance.sample(range(len(prompts)), size)
        company = outcome(generator, prompts, order, CASES[case])
        assert {place: expected[place] for place in order} == company


def test_a_component_that_looks_at_its_neighbours_is_noticed(generators):
    def envious(logits, rows):
        return logits + 0.5 * logits.mean(0, keepdim=True)

    generator, prompts = generators["table"]
    expected = alone(generator, prompts, {"processors": [envious]})

    assert expected != outcome(generator, prompts, range(len(prompts)), {"processors": [envious]})
