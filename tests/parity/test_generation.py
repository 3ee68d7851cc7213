"""Greedy tokens, sampled distributions and decoded text are those of transformers' `generate`."""

import string
from pathlib import Path

import pytest
import torch

from gpt2sdk import Generator

transformers = pytest.importorskip("transformers")

STEPS = 20

# ------------------------------------------------------------------------------ greedy, by tokens

# How many tokens may end a row, and the other options.
CASES = {
    "plain": (0, {}),
    "one end": (1, {}),
    "several ends": (5, {}),
    "repetition penalty": (0, {"repetition_penalty": 1.3}),
    "repetition reward": (1, {"repetition_penalty": 0.7}),
    "no token twice": (0, {"no_repeat_ngram_size": 1}),
    "no pair twice": (1, {"no_repeat_ngram_size": 2}),
    "at least": (1, {"min_new_tokens": 9}),
    "exactly": (5, {"min_new_tokens": STEPS}),
    "bad words": (0, {"bad_words": True}),
    "bad words, one end": (1, {"bad_words": True}),
    "all together": (
        5,
        {
            "bad_words": True,
            "min_new_tokens": 5,
            "no_repeat_ngram_size": 3,
            "repetition_penalty": 1.15,
        },
    ),
}


def tokens(result):
    return [list(completion.tokens) for completion in result.completions]


def first(expected):
    return [answer.tokens[0] for answer in expected]


def options_of(twins, name):
    """Return a case's options, and those of the same search without them."""
    ends, changes = CASES[name]
    plain = {"max_new_tokens": STEPS}
    if ends:
        plain["eos_token_id"] = twins.ends(ends) if ends > 1 else twins.ends(1)[0]
    changes = dict(changes)
    if "bad_words" in changes:
        often = twins.common[:3]
        changes["bad_words"] = [[often[0]], often[1:3], often[1:2] * 2]
    return plain | changes, plain


@pytest.mark.parametrize("name", CASES)
def test_greedy_tokens_equal_transformers(twins, name):
    options, plain = options_of(twins, name)
    found = tokens(twins.generate(strategy="greedy", **options))

    assert first(twins.expect(**options)) == found
    if options != plain:  # an option that changed nothing would prove nothing
        assert tokens(twins.generate(strategy="greedy", **plain)) != found


def test_greedy_tokens_of_every_runner_equal_transformers(twins, runner):
    options, _ = options_of(twins, "all together")
    expected = first(twins.expect(**options))
    run = twins.run_by(runner)

    for changes in ({}, {"batch_size": 1}, {"drafter": "prompt_lookup"}):
        found = run.generate(**({"strategy": "greedy"} | options | changes))
        assert expected == tokens(found), changes


def test_greedy_tokens_equal_transformers_which_has_one_prompt_at_a_time(twins):
    options = {"max_new_tokens": STEPS, "eos_token_id": twins.ends(2)}
    found = tokens(twins.generate(strategy="greedy", **options))

    assert first(twins.expect(alone=True, **options)) == found
    assert len({len(row) for row in found}) > 6


def test_greedy_tokens_in_any_batch_and_with_a_drafter_equal_transformers(twins):
    options = {"max_new_tokens": STEPS, "eos_token_id": twins.ends(1), "repetition_penalty": 1.1}
    expected = first(twins.expect(**options))

    for changes in ({"batch_size": 1}, {"batch_size": 7}, {"drafter": "prompt_lookup"}):
        found = twins.generate(**({"strategy": "greedy"} | options | changes))
        assert expected == tokens(found), changes


# ------------------------------------------------------------------- sampling, by distributions

CHAINS = {
    "temperature": {"temperature": 0.6},
    "top-k": {"top_k": 7},
    "top-p": {"top_p": 0.8},
    "min-p": {"min_p": 0.1},
    "typical-p": {"typical_p": 0.7},
    "hot, top-k and top-p": {"temperature": 1.5, "top_k": 40, "top_p": 0.9},
    "cold, top-p and min-p": {"temperature": 0.8, "top_p": 0.97, "min_p": 0.02},
    "top-k and typical-p": {"top_k": 100, "typical_p": 0.9, "temperature": 1.2},
    "all": {"temperature": 1.3, "top_k": 90, "top_p": 0.95, "min_p": 0.01, "typical_p": 0.9},
    "all, after penalties": {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "temperature": 0.9,
        "top_k": 60,
        "top_p": 0.9,
        "min_p": 0.005,
    },
}
SAMPLED_STEPS = 8
ATOL, RTOL = 1e-5, 5e-6


def sample_theirs(twins, options):
    """Let transformers sample.

    Returns:
        What it wrote after each prompt, and what it drew each token from, as log-probabilities.
    """
    torch.manual_seed(5)
    written, drawn_from = {}, {}
    for places in twins.groups():
        prompts = torch.tensor([twins.prompts[place] for place in places])
        output = twins.theirs.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            max_new_tokens=SAMPLED_STEPS,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
            **{"top_k": 0} | options,
        )
        written.update(zip(places, output.sequences[:, prompts.shape[1] :], strict=True))
        drawn_from.update(zip(places, torch.stack(output.scores, 1).log_softmax(-1), strict=True))
    order = range(len(twins.prompts))
    return [written[place] for place in order], [drawn_from[place] for place in order]


@pytest.mark.parametrize("name", CHAINS)
def test_tokens_are_drawn_from_the_distributions_of_transformers(twins, name):
    written, expected = sample_theirs(twins, CHAINS[name])
    seen = []

    def follow(session):
        for column in torch.stack(written).unbind(1):
            seen.append(session.process(session.next_logits()).log_softmax(-1))
            yield session.append(column)

    options = {"max_new_tokens": SAMPLED_STEPS, "logprobs": 0} | CHAINS[name]
    result = twins.generate(strategy=follow, **options)

    expected, found = torch.stack(expected), torch.stack(seen, 1)
    assert torch.equal(expected.isfinite(), found.isfinite())
    torch.testing.assert_close(expected, found, rtol=RTOL, atol=ATOL)
    taken = expected.gather(-1, torch.stack(written)[:, :, None])[:, :, 0]
    logprobs = torch.tensor([completion.processed_logprobs for completion in result.completions])
    torch.testing.assert_close(taken, logprobs, rtol=RTOL, atol=ATOL)
    assert (name != "temperature") == bool((found == -torch.inf).any())


@pytest.mark.parametrize(
    "change", [{"top_p": 0.81}, {"top_p": 0.8, "temperature": 1.00002}], ids=str
)
def test_the_comparison_notices_another_chain(twins, change):
    _, expected = sample_theirs(twins, {"top_p": 0.8})
    seen = []

    def look(session):
        seen.append(session.process(session.next_logits()).log_softmax(-1))
        yield session.append(torch.zeros(len(session.rows), dtype=torch.int64))

    twins.generate(strategy=look, max_new_tokens=1, **change)

    with pytest.raises(AssertionError):
        torch.testing.assert_close(torch.stack(expected)[:, 0], seen[0], rtol=RTOL, atol=ATOL)


# ------------------------------------------------------------------------------- text, as decoded

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "gpt2_tokenizer"
TEXTS = [
    "Once upon a time",
    "The quick brown fox jumps over the lazy dog, and then",
    " A space before",
    "two\nlines\n",
    "3.14159",
    "def f(x):\n\treturn",
    "naïve café",
    "Привет, мир!",
    "你好",
    "👩\u200d👩\u200d👧",
    "   ",
    *string.ascii_uppercase[:9],
]
END = 50256


@pytest.fixture(scope="module")
def real_vocabulary(tmp_path_factory):
    """One layer of width 32 over GPT-2's own 50257 tokens."""
    if not (FOLDER / "encoder.json").exists():
        pytest.skip("needs the released vocabulary (encoder.json, vocab.bpe) beside the repository")
    folder = tmp_path_factory.mktemp("real vocabulary")
    tokenizer = transformers.GPT2Tokenizer(
        vocab=str(FOLDER / "encoder.json"), merges=str(FOLDER / "vocab.bpe")
    )
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            n_positions=128,
            n_embd=32,
            n_layer=1,
            n_head=2,
            initializer_range=0.3,
            tie_word_embeddings=False,
        )
    ).eval()
    theirs.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Generator.from_pretrained(folder), theirs, tokenizer


@pytest.mark.parametrize("bias", [0.0, 4.0])
@pytest.mark.parametrize("options", [{}, {"no_repeat_ngram_size": 1}], ids=str)
def test_texts_equal_what_transformers_decodes(real_vocabulary, options, bias):
    """A bias makes some rows end early, at the end of text."""
    ours, theirs, tokenizer = real_vocabulary
    expected = []
    for text in TEXTS:
        prompt = tokenizer(text, return_tensors="pt")
        output = theirs.generate(
            **prompt,
            do_sample=False,
            max_new_tokens=40,
            pad_token_id=END,
            sequence_bias={(END,): bias},
            **options,
        )
        written = output[0, prompt["input_ids"].shape[1] :]
        expected.append(tokenizer.decode(written, skip_special_tokens=True))

    result = ours.generate(
        TEXTS, strategy="greedy", max_new_tokens=40, logit_bias={END: bias}, **options
    )

    assert expected == result.texts
    assert len({*expected}) > 0.5 * len(TEXTS)
    ended = [one.finish_reason == "end_token" for one in result.completions]
    assert any(ended) == bool(bias)
    assert not all(ended)
