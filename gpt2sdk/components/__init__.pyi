# What `gpt2sdk.components` finds by name, for type checkers.
# Written by scripts/make_component_stub.py.

from gpt2sdk.defaults import Greedy as Greedy
from gpt2sdk.defaults import Multinomial as Multinomial
from gpt2sdk.gpt2.architecture import GPT2Architecture as GPT2Architecture
from gpt2sdk_drafters.corpus import Corpus as Corpus
from gpt2sdk_drafters.draft_model import DraftModel as DraftModel
from gpt2sdk_drafters.early_exit import EarlyExit as EarlyExit
from gpt2sdk_drafters.prompt_lookup import PromptLookup as PromptLookup
from gpt2sdk_drafters.suffix import Suffix as Suffix
from gpt2sdk_sampling.bad_words import BadWords as BadWords
from gpt2sdk_sampling.epsilon_cutoff import EpsilonCutoff as EpsilonCutoff
from gpt2sdk_sampling.eta_cutoff import EtaCutoff as EtaCutoff
from gpt2sdk_sampling.frequency_penalty import FrequencyPenalty as FrequencyPenalty
from gpt2sdk_sampling.guidance_scale import GuidanceScale as GuidanceScale
from gpt2sdk_sampling.logit_bias import LogitBias as LogitBias
from gpt2sdk_sampling.min_new_tokens import MinNewTokens as MinNewTokens
from gpt2sdk_sampling.min_p import MinP as MinP
from gpt2sdk_sampling.mirostat import Mirostat as Mirostat
from gpt2sdk_sampling.no_repeat_ngram_size import NoRepeatNgramSize as NoRepeatNgramSize
from gpt2sdk_sampling.presence_penalty import PresencePenalty as PresencePenalty
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty as RepetitionPenalty
from gpt2sdk_sampling.temperature import Temperature as Temperature
from gpt2sdk_sampling.top_h import TopH as TopH
from gpt2sdk_sampling.top_k import TopK as TopK
from gpt2sdk_sampling.top_p import TopP as TopP
from gpt2sdk_sampling.typical_p import TypicalP as TypicalP
from gpt2sdk_stopping.max_time import MaxTime as MaxTime
from gpt2sdk_stopping.stop import Stop as Stop
from gpt2sdk_stopping.stop_token_ids import StopTokenIds as StopTokenIds
