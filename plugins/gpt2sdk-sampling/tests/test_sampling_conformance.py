"""Every component of the distribution keeps the promises of its role."""

import pytest

from gpt2sdk.testing import parametrize_with_checks
from gpt2sdk.testing.conformance import checks_of
from gpt2sdk_sampling.adaptive_p import AdaptiveP
from gpt2sdk_sampling.allowed_token_ids import AllowedTokenIds
from gpt2sdk_sampling.bad_words import BadWords
from gpt2sdk_sampling.begin_suppress_tokens import BeginSuppressTokens
from gpt2sdk_sampling.dry_multiplier import DryMultiplier
from gpt2sdk_sampling.encoder_no_repeat_ngram_size import EncoderNoRepeatNgramSize
from gpt2sdk_sampling.encoder_repetition_penalty import EncoderRepetitionPenalty
from gpt2sdk_sampling.epsilon_cutoff import EpsilonCutoff
from gpt2sdk_sampling.eta_cutoff import EtaCutoff
from gpt2sdk_sampling.expiring_bias import ExpiringBias
from gpt2sdk_sampling.exponential_decay_length_penalty import ExponentialDecayLengthPenalty
from gpt2sdk_sampling.forced_bos_token_id import ForcedBosTokenId
from gpt2sdk_sampling.forced_eos_token_id import ForcedEosTokenId
from gpt2sdk_sampling.frequency_penalty import FrequencyPenalty
from gpt2sdk_sampling.guidance_scale import GuidanceScale
from gpt2sdk_sampling.logit_bias import LogitBias
from gpt2sdk_sampling.min_k import MinK
from gpt2sdk_sampling.min_new_tokens import MinNewTokens
from gpt2sdk_sampling.min_p import MinP
from gpt2sdk_sampling.mirostat import Mirostat
from gpt2sdk_sampling.mirostat_v1 import MirostatV1
from gpt2sdk_sampling.no_repeat_ngram_size import NoRepeatNgramSize
from gpt2sdk_sampling.p_less import PLess
from gpt2sdk_sampling.phrase_bias import PhraseBias
from gpt2sdk_sampling.prefix_allowed_tokens_fn import PrefixAllowedTokensFn
from gpt2sdk_sampling.presence_penalty import PresencePenalty
from gpt2sdk_sampling.renormalize_logits import RenormalizeLogits
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty
from gpt2sdk_sampling.sequence_bias import SequenceBias
from gpt2sdk_sampling.smoothing_factor import SmoothingFactor
from gpt2sdk_sampling.suppress_tokens import SuppressTokens
from gpt2sdk_sampling.temperature import Temperature
from gpt2sdk_sampling.tfs import Tfs
from gpt2sdk_sampling.thinking_budget import ThinkingBudget
from gpt2sdk_sampling.token_healing import TokenHealing
from gpt2sdk_sampling.top_a import TopA
from gpt2sdk_sampling.top_h import TopH
from gpt2sdk_sampling.top_k import TopK
from gpt2sdk_sampling.top_n_sigma import TopNSigma
from gpt2sdk_sampling.top_p import TopP
from gpt2sdk_sampling.typical_p import TypicalP
from gpt2sdk_sampling.xtc_probability import XtcProbability

COMPONENTS = [
    AllowedTokenIds(allowed_token_ids=[2, 3, 13]),
    AdaptiveP(adaptive_target=0.3, adaptive_decay=0.5),
    BadWords(bad_words=["o", [3, 2, 3], [28]]),
    BeginSuppressTokens(begin_suppress_tokens=[3, 28]),
    DryMultiplier(dry_multiplier=0.8),
    DryMultiplier(dry_multiplier=2.0, dry_allowed_length=1, dry_sequence_breakers="d"),
    EncoderNoRepeatNgramSize(encoder_no_repeat_ngram_size=1),
    EncoderNoRepeatNgramSize(encoder_no_repeat_ngram_size=2),
    EncoderRepetitionPenalty(encoder_repetition_penalty=1.4),
    EncoderRepetitionPenalty(encoder_repetition_penalty=0.7),
    EpsilonCutoff(epsilon_cutoff=0.05),
    EtaCutoff(eta_cutoff=0.05),
    ExpiringBias(expiring_bias=[("dog", 4.0, 5), ("c", -2.0, 7)], expiring_bias_exit_words="m"),
    ExponentialDecayLengthPenalty(exponential_decay_length_penalty=(2, 1.3)),
    ExponentialDecayLengthPenalty(exponential_decay_length_penalty=(0, 0.9)),
    ForcedBosTokenId(forced_bos_token_id=3),
    ForcedEosTokenId(forced_eos_token_id=(28, 3)),
    FrequencyPenalty(frequency_penalty=0.5),
    FrequencyPenalty(frequency_penalty=-0.5, penalty_last_n=4),
    GuidanceScale(guidance_scale=1.5),
    GuidanceScale(guidance_scale=0.5, negative_prompt="no"),
    LogitBias(logit_bias={3: 2.0, 5: -50.0}),
    MinNewTokens(min_new_tokens=5),
    MinP(min_p=0.1),
    MinK(min_k=True),
    MinK(min_k=True, min_k_tau=40.0, min_tokens_to_keep=2),
    Mirostat(mirostat_tau=2.0, mirostat_eta=0.5),
    MirostatV1(mirostat_tau=2.0, mirostat_eta=0.5),
    MirostatV1(mirostat_tau=0.5, mirostat_m=3),
    NoRepeatNgramSize(no_repeat_ngram_size=1),
    NoRepeatNgramSize(no_repeat_ngram_size=3),
    NoRepeatNgramSize(
        no_repeat_ngram_size=1, no_repeat_ngram_window=4, no_repeat_ngram_whitelist=[8]
    ),
    PhraseBias(phrase_bias={"cdc": 4.0, "d": -2.0}),
    PLess(p_less=True),
    PresencePenalty(presence_penalty=0.5),
    PresencePenalty(presence_penalty=-0.5, penalty_last_n=4),
    RenormalizeLogits(renormalize_logits=True),
    RepetitionPenalty(repetition_penalty=1.3),
    RepetitionPenalty(repetition_penalty=0.7, repetition_penalty_scope="output"),
    RepetitionPenalty(repetition_penalty=1.3, penalty_last_n=4),
    SequenceBias(sequence_bias=[[[3], 2.0], [[2, 3, 2], -4.0], [" m", 1.0]]),
    SuppressTokens(suppress_tokens=[3, 28]),
    Temperature(temperature=0.7),
    Temperature(temperature=0.0),
    ThinkingBudget(thinking_budget=3, thinking_budget_end=["n", "f"]),
    ThinkingBudget(
        thinking_budget=2,
        thinking_budget_start="c",
        thinking_budget_message=[4, 5],
        thinking_budget_end="n",
    ),
    TokenHealing(token_healing=True),
    SmoothingFactor(smoothing_factor=0.3),
    SmoothingFactor(smoothing_factor=0.3, smoothing_curve=3.0),
    Temperature(temperature=0.7, dynatemp_range=0.5),
    Temperature(temperature=1.0, dynatemp_range=2.0, dynatemp_exponent=3.0),
    Tfs(tfs=0.9),
    Tfs(tfs=0.0, min_tokens_to_keep=3),
    TopA(top_a=0.3),
    TopNSigma(top_n_sigma=1.0),
    TopH(top_h=0.6),
    TopK(top_k=3),
    TopP(top_p=0.9),
    TopP(top_p=0.0),
    TopP(top_p=0.5, min_tokens_to_keep=4),
    TopP(top_p=1.0, top_p_decay=0.7, top_p_min=0.2, top_p_reset_ids=[3, 8]),
    TypicalP(typical_p=0.5),
    TypicalP(typical_p=0.2, min_tokens_to_keep=4),
    XtcProbability(xtc_probability=0.5, xtc_threshold=0.05),
    XtcProbability(xtc_probability=1.0, xtc_threshold=0.0, xtc_special_tokens=[" ", [3]]),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)


def next_letters(prompt, tokens):
    """Allow the letters behind the last one, and the first."""
    return [0, *range(int(tokens[-1]), 29)]


ALLOWED = PrefixAllowedTokensFn(prefix_allowed_tokens_fn=next_letters)


@pytest.mark.parametrize("check", checks_of(ALLOWED), ids=lambda check: check.__name__)
def test_conformance_of_a_function(check):
    if check.__name__ != "check_json":  # a function is not written as JSON
        check(ALLOWED)
