"""What the engine computes from a prefix cache has the bits that it has without one."""

import random

import pytest

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model

BEGINNINGS = ["", "the dog and the cat and the dog ", "the dog and the cat on the mat and a dog "]
LOADS = [
    ({}, "10MB"),
    ({"dtype": "bfloat16"}, 20_000),
    ({"quantization": "int8"}, "10MB"),
    ({"quantization": "int4"}, 20_000),
]
KINDS = [
    {"num_return_sequences": 3},
    {"strategy": "beam", "num_beams": 3},
    {"drafter": "prompt_lookup"},
    {"guidance_scale": 1.4, "negative_prompt": BEGINNINGS[1]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(path)
    return path


def bits(gen, seed, **where):
    """Everything that a call says, log-probabilities to their last bit."""
    chance = random.Random(seed)  # noqa: S311 - test data
    prompts = [
        chance.choice(BEGINNINGS) + "".join(chance.choices("abcd ", k=chance.randint(1, 9)))
        for _ in range(chance.randint(1, 4))
    ]
    made = gen.generate(
        prompts,
        seed=chance.randrange(100),
        max_new_tokens=chance.randint(1, 12),
        logprobs=2,
        **chance.choice(KINDS),
        **where,
    )
    chosen = gen.choose(prompts, [" a", " cat", " cats"])
    scored = gen.score(prompts, context=chance.choice(BEGINNINGS[1:]))
    return (
        [(one.tokens, one.score, one.logprobs) for one in made.completions],
        [each.logprobs for each in chosen],
        [each.logprobs for each in scored],
    )


@pytest.mark.parametrize(("load", "size"), LOADS, ids=str)
def test_results_have_the_same_bits_with_a_prefix_cache_and_without(folder, load, size):
    plain = Generator.from_pretrained(folder, runner="native", **load)
    kept = Generator.from_pretrained(folder, runner="native", prefix_cache=size, **load)
    engine = kept.engine(batch_size=3)
    for turn in range(6):
        where = {"engine": engine} if turn % 2 else {}

        assert bits(kept, turn, **where) == bits(plain, turn)
        assert kept.cache_info().nbytes <= kept.cache_info().limit
    assert kept.cache_info().tokens_saved > 0


def test_what_one_runner_read_another_does_not_go_on_from(folder):
    gen = Generator.from_pretrained(folder, runner="native", prefix_cache="10MB")
    gen.choose(BEGINNINGS[1], ["a", "b"])
    gen.model.prepare()
    gen.choose(BEGINNINGS[1], ["a", "b"])

    assert gen.cache_info().hits == 0
