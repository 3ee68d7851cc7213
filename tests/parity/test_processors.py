"""Each processor gives what transformers' gives, on every kind of logits and ragged rows."""

import pytest
import torch
import transformers as hf
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator
from gpt2sdk.options import compose
from gpt2sdk.plugins.registry import default_registry
from gpt2sdk.testing import TableModel, make_rows, process, save_tiny_model
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.bad_words import BadWords
from gpt2sdk_sampling.encoder_no_repeat_ngram_size import EncoderNoRepeatNgramSize
from gpt2sdk_sampling.epsilon_cutoff import EpsilonCutoff
from gpt2sdk_sampling.eta_cutoff import EtaCutoff
from gpt2sdk_sampling.guidance_scale import GuidanceScale
from gpt2sdk_sampling.logit_bias import LogitBias
from gpt2sdk_sampling.min_new_tokens import MinNewTokens
from gpt2sdk_sampling.min_p import MinP
from gpt2sdk_sampling.no_repeat_ngram_size import NoRepeatNgramSize
from gpt2sdk_sampling.renormalize_logits import RenormalizeLogits
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty
from gpt2sdk_sampling.temperature import Temperature
from gpt2sdk_sampling.top_h import TopH
from gpt2sdk_sampling.top_k import TopK
from gpt2sdk_sampling.top_p import TopP
from gpt2sdk_sampling.typical_p import TypicalP

END = 40
VOCAB_SIZE = 41
HISTORIES = [
    [1],
    [2, 3, 2, 3, 2, 3, 2],
    [4, 5, 6, 7, 5, 6],
    [8] * 10,
    [0, 27, 13, 0, 27, 13, 0, 27],
]
PROMPTS = [1, 3, 4, 1, 8]
BAD = [[3], [5, 6, 7], [13, 0, 27, 1], [27, 13], [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8], [END]]
BIAS = {3: 1.5, 8: -4.0, END: -100.0}

# Ours, and theirs for a row with a prompt of that many tokens.


def of_prompt(size, prompt):
    """Return transformers' ban of the prompt's n-grams, made of the prompt once that is known."""

    def ban(tokens, logits):
        return hf.EncoderNoRepeatNGramLogitsProcessor(size, tokens[:, :prompt])(tokens, logits)

    return ban


PAIRS = {
    "temperature 0.7": (Temperature(temperature=0.7), lambda _: hf.TemperatureLogitsWarper(0.7)),
    "temperature 3": (Temperature(temperature=3.0), lambda _: hf.TemperatureLogitsWarper(3.0)),
    "top-k 1": (TopK(top_k=1), lambda _: hf.TopKLogitsWarper(1)),
    "top-k 5": (TopK(top_k=5), lambda _: hf.TopKLogitsWarper(5)),
    "top-k beyond": (TopK(top_k=99), lambda _: hf.TopKLogitsWarper(99)),
    "top-p 0.01": (TopP(top_p=0.01), lambda _: hf.TopPLogitsWarper(0.01)),
    "top-p 0.5": (TopP(top_p=0.5), lambda _: hf.TopPLogitsWarper(0.5)),
    "top-p 0.95": (TopP(top_p=0.95), lambda _: hf.TopPLogitsWarper(0.95)),
    "top-p 0.999": (TopP(top_p=0.999), lambda _: hf.TopPLogitsWarper(0.999)),
    "min-p 0.05": (MinP(min_p=0.05), lambda _: hf.MinPLogitsWarper(0.05)),
    "min-p 0.7": (MinP(min_p=0.7), lambda _: hf.MinPLogitsWarper(0.7)),
    "typical-p 0.2": (TypicalP(typical_p=0.2), lambda _: hf.TypicalLogitsWarper(0.2)),
    "typical-p 0.9": (TypicalP(typical_p=0.9), lambda _: hf.TypicalLogitsWarper(0.9)),
    "epsilon 0.02": (EpsilonCutoff(epsilon_cutoff=0.02), lambda _: hf.EpsilonLogitsWarper(0.02)),
    "epsilon 0.9": (EpsilonCutoff(epsilon_cutoff=0.9), lambda _: hf.EpsilonLogitsWarper(0.9)),
    "eta 0.02": (EtaCutoff(eta_cutoff=0.02), lambda _: hf.EtaLogitsWarper(0.02)),
    "eta 0.9": (EtaCutoff(eta_cutoff=0.9), lambda _: hf.EtaLogitsWarper(0.9)),
    "top-h 0.3": (TopH(top_h=0.3), lambda _: hf.TopHLogitsWarper(0.3)),
    "top-h 0.8": (TopH(top_h=0.8), lambda _: hf.TopHLogitsWarper(0.8)),
    "renormalised": (
        RenormalizeLogits(renormalize_logits=True),
        lambda _: hf.LogitNormalization(),
    ),
    "repetition 1.3": (
        RepetitionPenalty(repetition_penalty=1.3),
        lambda _: hf.RepetitionPenaltyLogitsProcessor(1.3),
    ),
    "repetition 0.6": (
        RepetitionPenalty(repetition_penalty=0.6),
        lambda _: hf.RepetitionPenaltyLogitsProcessor(0.6),
    ),
    "repetition of output": (
        RepetitionPenalty(repetition_penalty=1.3, repetition_penalty_scope="output"),
        lambda prompt: hf.RepetitionPenaltyLogitsProcessor(1.3, prompt_ignore_length=prompt),
    ),
    "n-grams 1": (
        NoRepeatNgramSize(no_repeat_ngram_size=1),
        lambda _: hf.NoRepeatNGramLogitsProcessor(1),
    ),
    "n-grams 2": (
        NoRepeatNgramSize(no_repeat_ngram_size=2),
        lambda _: hf.NoRepeatNGramLogitsProcessor(2),
    ),
    "n-grams 3": (
        NoRepeatNgramSize(no_repeat_ngram_size=3),
        lambda _: hf.NoRepeatNGramLogitsProcessor(3),
    ),
    "n-grams 7": (
        NoRepeatNgramSize(no_repeat_ngram_size=7),
        lambda _: hf.NoRepeatNGramLogitsProcessor(7),
    ),
    "n-grams of the prompt 1": (
        EncoderNoRepeatNgramSize(encoder_no_repeat_ngram_size=1),
        lambda prompt: of_prompt(1, prompt),
    ),
    "n-grams of the prompt 2": (
        EncoderNoRepeatNgramSize(encoder_no_repeat_ngram_size=2),
        lambda prompt: of_prompt(2, prompt),
    ),
    "logit bias": (
        LogitBias(logit_bias=BIAS),
        lambda _: hf.SequenceBiasLogitsProcessor({(token,): bias for token, bias in BIAS.items()}),
    ),
    "bad words": (
        BadWords(bad_words=BAD),
        lambda _: hf.NoBadWordsLogitsProcessor(BAD, eos_token_id=END),
    ),
    "least length": (
        MinNewTokens(min_new_tokens=4),
        lambda prompt: hf.MinNewTokensLengthLogitsProcessor(prompt, 4, END),
    ),
}

# Those that keep a least number of tokens.
AT_LEAST = {
    "top-k 2, at least 5": (
        TopK(top_k=2, min_tokens_to_keep=5),
        lambda _: hf.TopKLogitsWarper(2, min_tokens_to_keep=5),
    ),
    "top-p 0.3, at least 4": (
        TopP(top_p=0.3, min_tokens_to_keep=4),
        lambda _: hf.TopPLogitsWarper(0.3, min_tokens_to_keep=4),
    ),
    "min-p 0.7, at least 3": (
        MinP(min_p=0.7, min_tokens_to_keep=3),
        lambda _: hf.MinPLogitsWarper(0.7, min_tokens_to_keep=3),
    ),
    "min-p 0.7, at least all": (
        MinP(min_p=0.7, min_tokens_to_keep=99),
        lambda _: hf.MinPLogitsWarper(0.7, min_tokens_to_keep=99),
    ),
    "epsilon 0.9, at least 3": (
        EpsilonCutoff(epsilon_cutoff=0.9, min_tokens_to_keep=3),
        lambda _: hf.EpsilonLogitsWarper(0.9, min_tokens_to_keep=3),
    ),
    "eta 0.9, at least 3": (
        EtaCutoff(eta_cutoff=0.9, min_tokens_to_keep=3),
        lambda _: hf.EtaLogitsWarper(0.9, min_tokens_to_keep=3),
    ),
}


def random_logits(seed, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(len(HISTORIES), VOCAB_SIZE, generator=generator)


def masked_logits(seed):
    mask = random_logits(seed + 1) < 0
    return random_logits(seed).masked_fill(mask, -torch.inf)


LOGITS = {
    "random": random_logits(0),
    "flat": random_logits(1, scale=0.1),
    "peaked": random_logits(2, scale=20.0),
    "extreme": random_logits(3, scale=1e4),
    "half masked": masked_logits(4),
    "tied": random_logits(5).round(),
    "equal": torch.zeros(len(HISTORIES), VOCAB_SIZE),
}


def rows():
    return make_rows(HISTORIES, prompt_lengths=PROMPTS, eos_token_ids=[END])


def theirs(make, logits, histories=HISTORIES, prompts=PROMPTS):
    """What transformers makes of each row by itself: it has no ragged rows."""
    return torch.cat(
        [
            make(prompt)(torch.tensor([history]), logits[[place]].clone())
            for place, (history, prompt) in enumerate(zip(histories, prompts, strict=True))
        ]
    )


def assert_same_up_to_ties(expected, found, logits):
    """Both keep the same; of tokens with equal logits transformers may have kept some only."""
    kept, ours = expected.isfinite(), found.isfinite()
    assert not (kept & ~ours).any()
    weakest = logits.masked_fill(~kept, torch.inf).amin(-1, keepdim=True)
    assert (logits[ours & ~kept] == weakest.expand_as(logits)[ours & ~kept]).all()
    torch.testing.assert_close(found[kept], expected[kept], rtol=1e-6, atol=1e-6)


def test_the_oracle_and_ours_agree_on_numbers_checked_by_hand():
    logits = torch.tensor([[0.9, 0.0, 0.0, 0.1]]).log()

    expected = hf.TopPLogitsWarper(0.3)(None, logits).softmax(-1)
    found = process(TopP(top_p=0.3), logits).softmax(-1)

    assert [[1.0, 0.0, 0.0, 0.0]] == expected.tolist() == found.tolist()


@pytest.mark.parametrize("kind", LOGITS)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_processor_equals_transformers(pair, kind):
    ours, make = PAIRS[pair]
    logits = LOGITS[kind]

    expected = theirs(make, logits)
    found = process(ours, logits, rows()) if expected.isfinite().any(-1).all() else None

    if found is not None:
        assert_same_up_to_ties(expected, found, logits)


@pytest.mark.parametrize("kind", [kind for kind in LOGITS if kind != "extreme"])
@pytest.mark.parametrize("pair", AT_LEAST)
def test_the_least_number_of_tokens_equals_transformers(pair, kind):
    """Where all other probabilities are zero in float32, transformers' min-p takes any of them."""
    ours, make = AT_LEAST[pair]
    logits = LOGITS[kind]

    assert_same_up_to_ties(theirs(make, logits), process(ours, logits, rows()), logits)


@pytest.mark.parametrize("kind", ["random", "flat", "peaked", "half masked"])
@pytest.mark.parametrize("count", [2, 7, 30])
def test_the_least_number_of_typical_tokens_equals_transformers(count, kind):
    """They are the nearest to the entropy: ties in distance are not those of logits."""
    logits = LOGITS[kind]
    ours = TypicalP(typical_p=0.1, min_tokens_to_keep=count)
    expected = theirs(lambda _: hf.TypicalLogitsWarper(0.1, min_tokens_to_keep=count), logits)

    assert torch.equal(expected, process(ours, logits, rows()))


def test_a_difference_would_be_found():
    logits = LOGITS["random"]
    expected = theirs(PAIRS["top-k 5"][1], logits)

    with pytest.raises(AssertionError):
        assert_same_up_to_ties(expected, process(TopK(top_k=4), logits, rows()), logits)
    with pytest.raises(AssertionError):
        assert_same_up_to_ties(expected, process(TopK(top_k=6), logits, rows()), logits)


@pytest.mark.parametrize("vocab_size", [2, 1000, 50257])
@pytest.mark.parametrize("scale", [0.5, 3.0, 8.0])
def test_nuclei_of_large_vocabularies_equal_transformers_in_float64(vocab_size, scale):
    """In float32 its sum over a flat tail is off by more than a token's probability."""
    generator = torch.Generator().manual_seed(9)
    logits = scale * torch.randn(2, vocab_size, generator=generator)
    for mass in (0.1, 0.5, 0.9, 0.99):
        expected = hf.TopPLogitsWarper(mass)(None, logits.double()).isfinite()
        assert torch.equal(expected, process(TopP(top_p=mass), logits).isfinite())


@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=12),
    mass=st.floats(0.01, 0.99),
)
def test_any_nucleus_equals_transformers_up_to_ties(counts, mass):
    logits = torch.tensor([counts], dtype=torch.float32).log()
    prefix = torch.tensor(sorted(counts, reverse=True), dtype=torch.float64).cumsum(0)
    if ((prefix / prefix[-1] - mass).abs() < 1e-5).any():
        return  # which side of the limit a sum falls on is a matter of rounding

    expected = hf.TopPLogitsWarper(mass)(None, logits)

    assert_same_up_to_ties(expected, process(TopP(top_p=mass), logits), logits)


OPTIONS = {
    "logit_bias": BIAS,
    "repetition_penalty": 1.2,
    "no_repeat_ngram_size": 3,
    "bad_words": BAD,
    "min_new_tokens": 4,
    "temperature": 1.7,
    "top_h": 0.9,
    "top_k": 12,
    "top_p": 0.9,
    "min_p": 0.02,
    "typical_p": 0.8,
    "epsilon_cutoff": 0.05,
    "eta_cutoff": 0.1,
    "renormalize_logits": True,
}


def their_chain(prompt_length):
    """The list that `generate` would build from the same options, in its order."""
    config = hf.GenerationConfig(
        do_sample=True,
        sequence_bias={(token,): bias for token, bias in BIAS.items()},
        bad_words_ids=BAD,
        eos_token_id=END,
        **{name: OPTIONS[name] for name in OPTIONS if name not in ("logit_bias", "bad_words")},
    )
    config._eos_token_tensor = torch.tensor([END])  # noqa: SLF001 - as generate prepares it
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=VOCAB_SIZE, n_embd=8, n_layer=1, n_head=1))
    build = model._get_logits_processor  # noqa: SLF001 - there is no public way to the list
    return build(config, input_ids_seq_length=prompt_length, device="cpu")


@pytest.mark.parametrize("kind", ["random", "flat", "half masked", "tied"])
def test_the_whole_chain_equals_transformers(kind):
    logits = LOGITS[kind] + 1e-3 * random_logits(7)  # a tie would make the next link differ
    composition = compose(OPTIONS, registry=default_registry())

    expected = theirs(their_chain, logits)
    found = logits
    for entry in composition.processors:
        found = process(entry.component, found, rows())

    assert list(OPTIONS) == [entry.purpose for entry in composition.processors]
    assert_same_up_to_ties(expected, found, found)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same weights in ours and in transformers' hands."""
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return Generator.from_pretrained(folder), hf.GPT2LMHeadModel.from_pretrained(folder).eval()


@pytest.mark.parametrize(
    ("ours", "their"),
    [
        ({"repetition_penalty": 1.5}, {"repetition_penalty": 1.5}),
        ({"no_repeat_ngram_size": 2}, {"no_repeat_ngram_size": 2}),
        ({"bad_words": [[17], [3, 9]]}, {"bad_words_ids": [[17], [3, 9]]}),
        ({"logit_bias": {5: 2.0}}, {"sequence_bias": {(5,): 2.0}}),
        ({"guidance_scale": 1.5}, {"guidance_scale": 1.5}),
        (
            {"guidance_scale": 2.0, "negative_prompt": [8, 9]},
            {"guidance_scale": 2.0, "negative_prompt_ids": torch.tensor([[8, 9]])},
        ),
        (
            {"min_new_tokens": 12, "repetition_penalty": 1.1, "no_repeat_ngram_size": 3},
            {"min_new_tokens": 12, "repetition_penalty": 1.1, "no_repeat_ngram_size": 3},
        ),
    ],
    ids=str,
)
def test_greedy_tokens_equal_transformers(both, ours, their):
    generator, model = both
    prompts = [[1], [3, 9, 4], [20, 21, 20, 21, 20], [7] * 9]

    result = generator.generate(prompts, strategy="greedy", max_new_tokens=20, **ours)

    for prompt, completion in zip(prompts, result.completions, strict=True):
        expected = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
            **their,
        )
        assert expected[0, len(prompt) :].tolist() == list(completion.tokens)


class Branch:
    """A `TableModel` behind the interface that transformers' guidance calls."""

    def __init__(self, model):
        self.model = model

    def __call__(self, input_ids, attention_mask, use_cache, cache):
        cache = cache or self.model.make_cache(1)
        logits = self.model.score(cache, input_ids.tolist(), [1]).logits[None]
        return hf.modeling_outputs.CausalLMOutputWithPast(logits=logits, cache=cache)


@pytest.mark.parametrize("negative", [None, (3, 1, 4)])
def test_guidance_equals_transformers_step_by_step(negative):
    processor = GuidanceScale(guidance_scale=1.7, negative_prompt=negative)
    prompts = [row.prompt for row in rows().records]
    session = open_session(prompts, processor, vocab_size=VOCAB_SIZE)
    branches = [
        hf.UnbatchedClassifierFreeGuidanceLogitsProcessor(
            1.7,
            Branch(TableModel(VOCAB_SIZE)),
            unconditional_ids=None if negative is None else torch.tensor([negative]),
        )
        for _ in prompts
    ]
    for _ in range(6):
        logits = session.next_logits()
        expected = [
            branch(torch.tensor([history]), logits[[place]])
            for place, (branch, history) in enumerate(
                zip(branches, session.rows.histories(), strict=True)
            )
        ]
        found = session.process(logits)
        torch.testing.assert_close(found, torch.cat(expected))
        session.append(found.argmax(-1))
