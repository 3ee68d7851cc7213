# What `gpt2sdk.components` finds by name, for type checkers.
# Written by scripts/make_component_stub.py.

from gpt2sdk.defaults import Greedy as Greedy
from gpt2sdk.defaults import Multinomial as Multinomial
from gpt2sdk.gpt2.architecture import GPT2Architecture as GPT2Architecture
from gpt2sdk.gpt2.torch_runner import TorchRunner as TorchRunner
from gpt2sdk_drafters.corpus import Corpus as Corpus
from gpt2sdk_drafters.draft_model import DraftModel as DraftModel
from gpt2sdk_drafters.early_exit import EarlyExit as EarlyExit
from gpt2sdk_drafters.prompt_lookup import PromptLookup as PromptLookup
from gpt2sdk_drafters.suffix import Suffix as Suffix
from gpt2sdk_sampling.adaptive_p import AdaptiveP as AdaptiveP
from gpt2sdk_sampling.allowed_token_ids import AllowedTokenIds as AllowedTokenIds
from gpt2sdk_sampling.bad_words import BadWords as BadWords
from gpt2sdk_sampling.begin_suppress_tokens import BeginSuppressTokens as BeginSuppressTokens
from gpt2sdk_sampling.dry_multiplier import DryMultiplier as DryMultiplier
from gpt2sdk_sampling.encoder_no_repeat_ngram_size import (
    EncoderNoRepeatNgramSize as EncoderNoRepeatNgramSize,
)
from gpt2sdk_sampling.encoder_repetition_penalty import (
    EncoderRepetitionPenalty as EncoderRepetitionPenalty,
)
from gpt2sdk_sampling.epsilon_cutoff import EpsilonCutoff as EpsilonCutoff
from gpt2sdk_sampling.eta_cutoff import EtaCutoff as EtaCutoff
from gpt2sdk_sampling.expiring_bias import ExpiringBias as ExpiringBias
from gpt2sdk_sampling.exponential_decay_length_penalty import (
    ExponentialDecayLengthPenalty as ExponentialDecayLengthPenalty,
)
from gpt2sdk_sampling.forced_bos_token_id import ForcedBosTokenId as ForcedBosTokenId
from gpt2sdk_sampling.forced_eos_token_id import ForcedEosTokenId as ForcedEosTokenId
from gpt2sdk_sampling.frequency_penalty import FrequencyPenalty as FrequencyPenalty
from gpt2sdk_sampling.guidance_scale import GuidanceScale as GuidanceScale
from gpt2sdk_sampling.logit_bias import LogitBias as LogitBias
from gpt2sdk_sampling.min_k import MinK as MinK
from gpt2sdk_sampling.min_new_tokens import MinNewTokens as MinNewTokens
from gpt2sdk_sampling.min_p import MinP as MinP
from gpt2sdk_sampling.mirostat import Mirostat as Mirostat
from gpt2sdk_sampling.mirostat_v1 import MirostatV1 as MirostatV1
from gpt2sdk_sampling.no_repeat_ngram_size import NoRepeatNgramSize as NoRepeatNgramSize
from gpt2sdk_sampling.p_less import PLess as PLess
from gpt2sdk_sampling.phrase_bias import PhraseBias as PhraseBias
from gpt2sdk_sampling.prefix_allowed_tokens_fn import PrefixAllowedTokensFn as PrefixAllowedTokensFn
from gpt2sdk_sampling.presence_penalty import PresencePenalty as PresencePenalty
from gpt2sdk_sampling.renormalize_logits import RenormalizeLogits as RenormalizeLogits
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty as RepetitionPenalty
from gpt2sdk_sampling.sequence_bias import SequenceBias as SequenceBias
from gpt2sdk_sampling.smoothing_factor import SmoothingFactor as SmoothingFactor
from gpt2sdk_sampling.suppress_tokens import SuppressTokens as SuppressTokens
from gpt2sdk_sampling.temperature import Temperature as Temperature
from gpt2sdk_sampling.tfs import Tfs as Tfs
from gpt2sdk_sampling.thinking_budget import ThinkingBudget as ThinkingBudget
from gpt2sdk_sampling.token_healing import TokenHealing as TokenHealing
from gpt2sdk_sampling.top_a import TopA as TopA
from gpt2sdk_sampling.top_h import TopH as TopH
from gpt2sdk_sampling.top_k import TopK as TopK
from gpt2sdk_sampling.top_n_sigma import TopNSigma as TopNSigma
from gpt2sdk_sampling.top_p import TopP as TopP
from gpt2sdk_sampling.typical_p import TypicalP as TypicalP
from gpt2sdk_sampling.xtc_probability import XtcProbability as XtcProbability
from gpt2sdk_stopping.max_time import MaxTime as MaxTime
from gpt2sdk_stopping.repetition_detection import RepetitionDetection as RepetitionDetection
from gpt2sdk_stopping.stop import Stop as Stop
from gpt2sdk_stopping.stop_regex import StopRegex as StopRegex
from gpt2sdk_stopping.stop_token_ids import StopTokenIds as StopTokenIds
