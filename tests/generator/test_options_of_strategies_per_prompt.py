"""Options of strategies, samplers and drafters, each prompt with its own."""

import pytest

from gpt2sdk import Generator, OptionError, each
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters()
PROMPTS = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [1, 2, 3], [10]]
SEEDS = [3, 4, 5, 6, 7]


@pytest.fixture(scope="module")
def gen():
    model = TableModel(29, order=1, bias={28: -1.0}, context_length=512)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[28])


def told(result):
    return [
        (each.tokens, each.text, each.finish_reason, each.score, each.logprobs)
        for each in result.completions
    ]


CASES = {
    "counts": ({}, {"num_return_sequences": [1, 3, 2, 1, 4]}),
    "beams": (
        {"strategy": "beam"},
        {"num_beams": [2, 4, 3, 2, 5], "num_return_sequences": [1, 3, 2, 2, 1]},
    ),
    "best of": ({"strategy": "best_of_n"}, {"best_of": [1, 4, 2, 3, 1]}),
    "samplers": ({"sampler": "mirostat"}, {"mirostat_tau": [1.0, 3.0, 5.0, None, 3.0]}),
    "drafters": (
        {"drafter": "prompt_lookup", "stop": ["xx"]},
        {"max_matching_ngram_size": [2, 3, 4, None, 2], "max_new_tokens": [3, 9, 12, 5, 1]},
    ),
    "particles": ({"strategy": "smc", "top_k": 9}, {"num_particles": [2, 4, 8, 3, 2]}),
    "phrases": (
        {"strategy": "backtrack"},
        {"banned_phrases": each([["ab"], ["c", "d"], ["ab"], ["x"], ["e"]])},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch_size", [2, 32])
def test_a_prompt_gets_what_its_options_give_it_alone(gen, name, batch_size):
    common, columns = CASES[name]
    common = {"max_new_tokens": 10, "logprobs": 0, **common}
    together = gen.generate(PROMPTS, seed=SEEDS, batch_size=batch_size, **{**common, **columns})
    columns = {key: getattr(column, "values", column) for key, column in columns.items()}
    alone = [
        (place, one)
        for place, (tokens, seed) in enumerate(zip(PROMPTS, SEEDS, strict=True))
        for one in told(
            gen.generate(
                tokens,
                seed=seed,
                **{**common, **{key: column[place] for key, column in columns.items()}},
            )
        )
    ]

    places = [completion.prompt_index for completion in together.completions]
    assert alone == list(zip(places, told(together), strict=True))


def test_what_cannot_differ_says_so(gen):
    for option, values in {
        "strategy": ["sample", "greedy"],
        "batch_size": [1, 2],
        "overflow": ["error", "slide"],
    }.items():
        with pytest.raises(OptionError, match=f"{option} is one value for all prompts"):
            gen.generate(PROMPTS[:2], **{option: each(values)})


def test_the_window_slides_only_if_no_prompt_takes_tokens_back(gen):
    with pytest.raises(OptionError, match="backtrack may"):
        gen.generate(
            PROMPTS[:2],
            strategy="backtrack",
            banned_phrases=each([["a"], ["bcd"]]),
            overflow="slide",
        )
