"""Biases, forced and suppressed tokens give transformers' logits, tokens and beams."""

import pytest
import torch

from gpt2sdk import OptionError
from gpt2sdk.testing import make_rows, process
from gpt2sdk_sampling.begin_suppress_tokens import BeginSuppressTokens
from gpt2sdk_sampling.encoder_repetition_penalty import EncoderRepetitionPenalty
from gpt2sdk_sampling.exponential_decay_length_penalty import ExponentialDecayLengthPenalty
from gpt2sdk_sampling.forced_bos_token_id import ForcedBosTokenId
from gpt2sdk_sampling.forced_eos_token_id import ForcedEosTokenId
from gpt2sdk_sampling.prefix_allowed_tokens_fn import PrefixAllowedTokensFn
from gpt2sdk_sampling.sequence_bias import SequenceBias
from gpt2sdk_sampling.suppress_tokens import SuppressTokens

hf = pytest.importorskip("transformers")

STEPS = 12
ENDS = [40, 7]
VOCAB_SIZE = 41
HISTORIES = [[1], [2, 3, 2, 3, 2, 3, 2], [4, 5, 6, 9, 5, 6], [8] * 10, [0, 27, 13, 0, 27, 13]]
PROMPTS = [1, 3, 4, 1, 6]
ROOM = 10
BIAS = {(3,): 1.5, (8, 8): -4.0, (5, 6, 9): 2.5, (13, 0): 0.5, (2, 3): 1.0, (3, 2, 3): -1.0}


def modulo(_, tokens):
    """Allow tokens by the last one, however it is given."""
    return [token for token in range(VOCAB_SIZE) if (token + int(tokens[-1])) % 3]


# Ours, and theirs for a row with this prompt.
PAIRS = {
    "reward of the prompt": (
        EncoderRepetitionPenalty(encoder_repetition_penalty=1.7),
        lambda prompt: hf.EncoderRepetitionPenaltyLogitsProcessor(1.7, torch.tensor([prompt])),
    ),
    "penalty of the prompt": (
        EncoderRepetitionPenalty(encoder_repetition_penalty=0.4),
        lambda prompt: hf.EncoderRepetitionPenaltyLogitsProcessor(0.4, torch.tensor([prompt])),
    ),
    "sequence bias": (
        SequenceBias(sequence_bias=BIAS),
        lambda _: hf.SequenceBiasLogitsProcessor(BIAS),
    ),
    "suppressed": (
        SuppressTokens(suppress_tokens=[3, 40, 0]),
        lambda _: hf.SuppressTokensLogitsProcessor([3, 40, 0]),
    ),
    "suppressed at the beginning": (
        BeginSuppressTokens(begin_suppress_tokens=[3, 40, 0]),
        lambda prompt: hf.SuppressTokensAtBeginLogitsProcessor([3, 40, 0], len(prompt)),
    ),
    "first token": (
        ForcedBosTokenId(forced_bos_token_id=5),
        lambda _: hf.ForcedBOSTokenLogitsProcessor(5),
    ),
    "last token": (
        ForcedEosTokenId(forced_eos_token_id=40),
        lambda prompt: hf.ForcedEOSTokenLogitsProcessor(len(prompt) + ROOM, 40),
    ),
    "one of the last tokens": (
        ForcedEosTokenId(forced_eos_token_id=(40, 7)),
        lambda prompt: hf.ForcedEOSTokenLogitsProcessor(len(prompt) + ROOM, [40, 7]),
    ),
    "rising ends": (
        ExponentialDecayLengthPenalty(exponential_decay_length_penalty=(1, 1.5)),
        lambda prompt: hf.ExponentialDecayLengthPenalty((1, 1.5), ENDS, len(prompt)),
    ),
    "falling ends": (
        ExponentialDecayLengthPenalty(exponential_decay_length_penalty=(0, 0.7)),
        lambda prompt: hf.ExponentialDecayLengthPenalty((0, 0.7), ENDS, len(prompt)),
    ),
    "prefix": (
        PrefixAllowedTokensFn(prefix_allowed_tokens_fn=modulo),
        lambda _: hf.PrefixConstrainedLogitsProcessor(modulo, 1),
    ),
}


def logits_of(kind):
    generator = torch.Generator().manual_seed(3)
    logits = 3.0 * torch.randn(len(HISTORIES), VOCAB_SIZE, generator=generator)
    if kind == "half masked":
        out = torch.rand(logits.shape, generator=generator) < 0.5
        out[:, [3, 5, 7, 40]] = False  # transformers revives forced tokens, and we do not
        return logits.masked_fill(out, -torch.inf)
    return {"random": logits, "tied": logits.round(), "large": 1e4 * logits}[kind]


@pytest.mark.parametrize("kind", ["random", "tied", "large", "half masked"])
@pytest.mark.parametrize("pair", PAIRS)
def test_logits_equal_transformers(pair, kind):
    ours, make = PAIRS[pair]
    logits = logits_of(kind)
    expected = torch.cat(
        [
            make(history[:size])(torch.tensor([history]), logits[[place]].clone())
            for place, (history, size) in enumerate(zip(HISTORIES, PROMPTS, strict=True))
        ]
    )
    # The fourth row of nine new tokens is about to take its last one.
    rows = make_rows(HISTORIES, prompt_lengths=PROMPTS, eos_token_ids=ENDS, max_new_tokens=ROOM)

    found = process(ours, logits, rows)

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not torch.equal(logits, expected)  # an option that changed nothing would prove nothing


def options_of(twins, name):
    """Return a case's options, for one spelling of both."""
    common, ends = twins.common, twins.ends(3)
    return {
        "prompt": {"encoder_repetition_penalty": 1.8},
        "sequences": {
            "sequence_bias": {
                (common[0],): -3.0,
                (common[1], common[2]): 4.0,
                (common[1], common[2], common[3]): 4.0,
                (common[5], common[5]): -8.0,
            }
        },
        "ends": {"forced_eos_token_id": ends[0], "eos_token_id": ends},
        "one of two ends": {"forced_eos_token_id": ends[:2], "eos_token_id": ends},
        "rising ends": {"exponential_decay_length_penalty": (3, 1.3), "eos_token_id": ends},
        "falling ends": {"exponential_decay_length_penalty": (0, 0.8), "eos_token_id": ends},
        "suppressed": {"suppress_tokens": common[:6], "eos_token_id": ends},
        "begins": {"begin_suppress_tokens": common[:200], "eos_token_id": ends},
        "prefix": {
            "prefix_allowed_tokens_fn": lambda _, tokens: [
                token for token in range(twins.vocab_size) if (token + int(tokens[-1])) % 3
            ]
        },
        "together": {
            "encoder_repetition_penalty": 0.8,
            "sequence_bias": {(common[0],): 1.0, (common[2], common[3]): -2.0},
            "exponential_decay_length_penalty": (2, 1.1),
            "forced_eos_token_id": ends[1],
            "suppress_tokens": common[10:12],
            "begin_suppress_tokens": common[:3],
            "repetition_penalty": 1.2,
            "no_repeat_ngram_size": 3,
            "min_new_tokens": 3,
            "eos_token_id": ends,
        },
    }[name]


NAMES = [
    *("prompt", "sequences", "ends", "one of two ends", "rising ends", "falling ends"),
    *("suppressed", "begins", "prefix", "together"),
]
BEAM = {"strategy": "beam", "num_beams": 3, "num_return_sequences": 2}


@pytest.mark.parametrize(
    ("name", "search"),
    [
        *((name, {"strategy": "greedy"}) for name in NAMES),
        # Of two forced ends both have the logit 0: which beam is the better one is up to topk.
        *((name, BEAM) for name in NAMES if name != "one of two ends"),
    ],
    ids=str,
)
def test_tokens_equal_transformers(twins, name, search):
    options = options_of(twins, name)
    theirs = {key: value for key, value in search.items() if key != "strategy"}
    each = search.get("num_return_sequences", 1)

    expected = twins.expect(max_new_tokens=STEPS, **theirs, **options)
    found = twins.generate(max_new_tokens=STEPS, **search, **options).completions
    plain = twins.generate(
        max_new_tokens=STEPS, **search, eos_token_id=options.get("eos_token_id")
    ).completions

    groups = [found[first : first + each] for first in range(0, len(found), each)]
    assert [one.tokens for one in expected] == [[list(c.tokens) for c in g] for g in groups]
    if each > 1:
        scores = [score for one in expected for score in one.scores]
        assert scores == pytest.approx([c.score for c in found], rel=1e-5, abs=1e-4)
    assert [c.tokens for c in plain] != [c.tokens for c in found]


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}], ids=["greedy", "beam"])
def test_a_forced_first_token_equals_transformers(twins, search):
    prompts = [prompt for prompt in twins.prompts if len(prompt) == 1]
    forced = twins.common[50]
    ids = torch.tensor(prompts)
    expected = twins.theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=STEPS,
        pad_token_id=0,
        forced_bos_token_id=forced,
        **search,
    )

    found = twins.ours.generate(
        prompts,
        strategy="beam" if search else "greedy",
        max_new_tokens=STEPS,
        eos_token_id=None,
        forced_bos_token_id=forced,
        **search,
    )

    assert expected[:, 1:].tolist() == [list(each.tokens) for each in found.completions]
    assert {forced} == {each.tokens[0] for each in found.completions}


def test_a_first_token_is_forced_behind_one_token_only(twins):
    """Transformers passes over longer prompts in silence."""
    with pytest.raises(OptionError, match="prompt 1 has 2: let the prompt end with the token"):
        twins.ours.generate([[1], [1, 2]], forced_bos_token_id=5)
