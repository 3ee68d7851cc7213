"""A row's bits are its own: through a generator, in every form of weights."""

import functools
import os
from random import Random

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from gpt2sdk import Generator, Quantizer, each
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_native.library import ISA_VARIABLE, kernels

FORMS = ["float32", "bfloat16", "int8", "int8 a8", "int4"]
TEXTS = ["a cat", "the dog and the cat and the dog and", "b", "Once upon a time and a time", "x y"]
CHAINS = {
    "plain": {},
    "top-k": {"temperature": 0.9, "top_k": 8},
    "penalties": {"temperature": 0.8, "top_p": 0.9, "repetition_penalty": 1.2},
    "greedy": {"strategy": "greedy", "no_repeat_ngram_size": 3},
    "guided": {"guidance_scale": 1.5, "negative_prompt": "the end"},
    "layers": {"dola_layers": [0, 1], "repetition_penalty": 1.2},
}


DRAFTERS = {
    "none": {},
    "prompt_lookup": {"drafter": "prompt_lookup"},
    "suffix": {"drafter": "suffix"},
    "early_exit": {"drafter": "early_exit", "assistant_early_exit": 1},
}


def instruction_sets():
    found = []
    for name in ("avx512", "avx2", "scalar"):
        try:
            kernels(name)
        except OSError:
            continue
        found.append(name)
    return found


@pytest.fixture(scope="module")
def generator_of(tmp_path_factory):
    """Return what loads a model in a form of weights, for an instruction set."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)

    @functools.cache
    def load(form, isa):
        settings = {"dtype": "bfloat16"} if form == "bfloat16" else {}
        if form.startswith("int"):
            kind = Registry().find(Quantizer, form.partition(" ")[0])
            settings = {"quantization": kind(activation_bits=8) if form == "int8 a8" else kind()}
        before = os.environ.get(ISA_VARIABLE, "")
        os.environ[ISA_VARIABLE] = isa
        try:
            gen = Generator.from_pretrained(folder, runner="native", **settings)
        finally:
            os.environ[ISA_VARIABLE] = before
        assert isa == gen.model._running[1]._engine.isa  # noqa: SLF001 - else nothing is compared
        return gen

    return load


def bits(gen, texts, seeds, chain, **more):
    """Return the tokens of each text with their log-probabilities, before and behind the chain."""
    options = {"max_new_tokens": 7, "logprobs": 2, **CHAINS[chain], **more}
    found = gen.generate(texts, seed=seeds, **options).completions
    return [(one.tokens, one.logprobs, one.processed_logprobs, one.top_logprobs) for one in found]


@functools.cache
def reference(generator_of, form, isa, chain):
    """Return what each text gets alone, on one thread."""
    gen = generator_of(form, isa)
    return [bits(gen, [text], [seed], chain)[0] for seed, text in enumerate(TEXTS)]


@pytest.mark.parametrize("form", FORMS)
@given(
    chain=st.sampled_from(list(CHAINS)),
    isa=st.sampled_from(instruction_sets()),
    threads=st.integers(1, 3),
    batch_size=st.integers(1, 5),
    drafter=st.sampled_from(list(DRAFTERS)),
    seed=st.integers(0),
)
@settings(max_examples=6)
def test_a_row_has_its_bits_in_any_company(  # noqa: PLR0917 - what hypothesis draws
    generator_of, form, chain, isa, threads, batch_size, drafter, seed
):
    expected = reference(generator_of, form, instruction_sets()[0], chain)
    random = Random(seed)  # noqa: S311 - an order, no secret
    order = random.choices(range(len(TEXTS)), k=random.randint(1, 7))
    torch.set_num_threads(threads)
    try:
        found = bits(
            generator_of(form, isa),
            [TEXTS[at] for at in order],
            order,
            chain,
            batch_size=batch_size,
            **DRAFTERS[drafter],
        )
    finally:
        torch.set_num_threads(1)

    assert [expected[at] for at in order] == found


@pytest.mark.parametrize("form", FORMS)
def test_scores_in_one_go_are_those_of_token_by_token(generator_of, form):
    first, *others = instruction_sets()
    gen = generator_of(form, first)
    ids = [gen.tokenizer.encode(text) for text in TEXTS]
    whole = gen.score(ids, bos=True)
    for score, tokens in zip(whole, ids, strict=True):
        alone = gen.score(tokens, bos=True)
        parts = [
            gen.score([tokens[at]], context=tokens[:at]).logprobs[0] for at in range(1, len(tokens))
        ]

        assert score.logprobs == alone.logprobs
        assert list(score.logprobs)[-len(parts) :] == parts or not parts
    for isa in others:
        there = generator_of(form, isa).score(ids, bos=True)
        assert [one.logprobs for one in whole] == [one.logprobs for one in there]


def test_hidden_states_of_one_row_change_no_bit_of_another(generator_of):
    gen = generator_of("float32", instruction_sets()[0])
    (alone,) = bits(gen, TEXTS[1:2], [1], "top-k")
    both = bits(gen, TEXTS[:2], [0, 1], "top-k", dola_layers=each([[0, 1], None]))

    assert alone == both[1]
    assert bits(gen, TEXTS[:1], [0], "top-k") != both[:1]


def test_the_comparison_notices_one_bit(generator_of):
    gen = generator_of("float32", instruction_sets()[0])
    expected = bits(gen, TEXTS[:1], [0], "top-k")
    with gen.model.patch("ln_f", lambda out: out * (1 + 2**-23)):
        found = bits(gen, TEXTS[:1], [0], "top-k")

    assert expected[0][0] == found[0][0]
    assert expected != found
