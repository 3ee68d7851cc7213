"""The distribution of the next token: the model's, or behind a chain."""

import math

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer


@pytest.fixture(scope="module")
def gen():
    return Generator(tiny_gpt2(), tiny_tokenizer())


def letters(**model):
    language = Letters()
    return Generator(TableModel(**model), language, decoder=language, eos_token_ids=[])


def following(gen, text):
    tokens = gen.tokenizer.encode(text)
    return gen.model(torch.tensor([tokens])).logits[0, -1].double()


def test_without_options_it_is_the_models_own(gen):
    logprobs = following(gen, "Once upon").log_softmax(-1)
    found = gen.next_token("Once upon", n=5)

    best = logprobs.topk(5)
    assert list(found.tokens) == best.indices.tolist()
    assert found.logprobs == pytest.approx(best.values.tolist(), abs=1e-5)
    assert found.probabilities == pytest.approx(best.values.exp().tolist(), abs=1e-6)
    assert found.text == found.texts[0] == gen.tokenizer.decode([found.tokens[0]])
    assert found.support == 278
    assert found.entropy == pytest.approx(-(logprobs.exp() * logprobs).sum().item(), abs=1e-4)


def test_with_options_it_is_what_a_call_draws_from(gen):
    logits = following(gen, "Once upon") / 0.5
    expected = logits.topk(3).values.softmax(-1)
    found = gen.next_token("Once upon", temperature=0.5, top_k=3)

    assert found.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
    assert (found.support, len(found.tokens)) == (3, 3)
    (drawn,) = gen.generate(
        "Once upon", temperature=0.5, top_k=3, max_new_tokens=1, logprobs=0
    ).completions
    assert drawn.processed_logprobs[0] == pytest.approx(
        found.logprobs[found.tokens.index(drawn.tokens[0])], abs=1e-5
    )


def test_prompts_are_strangers_and_may_have_options_of_their_own(gen):
    prompts = ["Once", "the cat sat on the mat", "a"] * 14
    together = gen.next_token(prompts, n=4, top_k=[1, 2, 3] * 14, batch_size=5)

    for index, (prompt, found) in enumerate(zip(prompts, together, strict=True)):
        alone = gen.next_token(prompt, n=4, top_k=index % 3 + 1)
        assert (found.tokens, found.support) == (alone.tokens, index % 3 + 1)
        assert found.logprobs == pytest.approx(alone.logprobs, abs=1e-5)
        assert found.prompt_index == index


def test_a_list_of_one_gives_a_list(gen):
    assert [gen.next_token("a", n=1)] == gen.next_token(["a"], n=1)
    assert gen.next_token([5, 6], n=1) == gen.next_token(torch.tensor([5, 6]), n=1)


def test_tokens_that_cannot_come_are_left_out():
    found = letters(bias=dict.fromkeys(range(3, 28), -math.inf)).next_token("a", n=9)

    assert set(found.texts) == {"a", "b", "c"}
    assert found.support == 3
    assert 0 < found.entropy <= math.log(3)


def test_a_guided_model_is_asked_with_its_mirror(gen):
    plain = gen.next_token("Once upon", n=3)
    guided = gen.next_token("Once upon", n=3, guidance_scale=3.0, negative_prompt="the cat")

    assert plain.logprobs != guided.logprobs


def test_a_least_length_counts_as_in_a_call_that_goes_on():
    language = Letters()
    gen = Generator(
        TableModel(bias={3: 90.0, 4: 50.0}), language, decoder=language, eos_token_ids=[3]
    )

    assert gen.next_token("a", n=1).tokens == (3,)
    assert gen.next_token("a", n=1, min_new_tokens=5).tokens == (4,)
    assert gen.next_token(["a", "b"], n=1, min_new_tokens=[5, 0])[1].tokens == (3,)
    (drawn,) = gen.generate("a", min_new_tokens=5, strategy="greedy").completions
    assert drawn.tokens[0] == 4


def test_what_forces_the_last_token_does_not_act_on_the_first(gen):
    end = min(gen.eos_token_ids)

    assert gen.next_token("a", forced_eos_token_id=end) == gen.next_token("a")


def test_a_prompt_may_fill_the_window(gen):
    prompt = [5] * gen.context_length

    assert gen.next_token(prompt, n=1, min_new_tokens=1).support == 277


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0, expected how many tokens to name: 1 or more"),
        ({"n": True}, "n is True"),
        ({"strategy": "beam"}, "strategy is no option of next_token"),
        ({"num-return-sequences": 2}, "num-return-sequences is no option of next_token"),
        ({"logprobs": 3}, "logprobs is no option of next_token"),
        ({"stop": ["x"]}, "stop is no option of next_token: it ends rows, and none is written"),
        ({"top_q": 3}, "top_q"),
    ],
)
def test_what_has_no_part_in_it_is_refused(gen, options, message):
    with pytest.raises(OptionError) as caught:
        gen.next_token("a", **options)
    assert message in str(caught.value)
