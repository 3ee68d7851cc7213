"""Logits processors and samplers for gpt2sdk."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
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

    return (
        GuidanceScale,
        LogitBias,
        SequenceBias,
        PhraseBias,
        ExpiringBias,
        EncoderRepetitionPenalty,
        RepetitionPenalty,
        FrequencyPenalty,
        PresencePenalty,
        DryMultiplier,
        NoRepeatNgramSize,
        EncoderNoRepeatNgramSize,
        ExponentialDecayLengthPenalty,
        BadWords,
        MinNewTokens,
        AllowedTokenIds,
        PrefixAllowedTokensFn,
        ForcedBosTokenId,
        ForcedEosTokenId,
        SuppressTokens,
        BeginSuppressTokens,
        ThinkingBudget,
        TokenHealing,
        Temperature,
        SmoothingFactor,
        TopNSigma,
        MinK,
        TopH,
        TopK,
        TopP,
        MinP,
        TypicalP,
        EpsilonCutoff,
        EtaCutoff,
        Tfs,
        TopA,
        PLess,
        XtcProbability,
        RenormalizeLogits,
        Mirostat,
        MirostatV1,
        AdaptiveP,
    )
