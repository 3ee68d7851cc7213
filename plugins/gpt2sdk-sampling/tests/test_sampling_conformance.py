"""Every component of the distribution keeps the promises of its role."""

from gpt2sdk.testing import parametrize_with_checks
from gpt2sdk_sampling.adaptive_p import AdaptiveP
from gpt2sdk_sampling.bad_words import BadWords
from gpt2sdk_sampling.epsilon_cutoff import EpsilonCutoff
from gpt2sdk_sampling.eta_cutoff import EtaCutoff
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
from gpt2sdk_sampling.presence_penalty import PresencePenalty
from gpt2sdk_sampling.renormalize_logits import RenormalizeLogits
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty
from gpt2sdk_sampling.smoothing_factor import SmoothingFactor
from gpt2sdk_sampling.temperature import Temperature
from gpt2sdk_sampling.tfs import Tfs
from gpt2sdk_sampling.top_a import TopA
from gpt2sdk_sampling.top_h import TopH
from gpt2sdk_sampling.top_k import TopK
from gpt2sdk_sampling.top_n_sigma import TopNSigma
from gpt2sdk_sampling.top_p import TopP
from gpt2sdk_sampling.typical_p import TypicalP
from gpt2sdk_sampling.xtc_probability import XtcProbability

COMPONENTS = [
    AdaptiveP(adaptive_target=0.3, adaptive_decay=0.5),
    BadWords(bad_words=["o", [3, 2, 3], [28]]),
    EpsilonCutoff(epsilon_cutoff=0.05),
    EtaCutoff(eta_cutoff=0.05),
    FrequencyPenalty(frequency_penalty=0.5),
    FrequencyPenalty(frequency_penalty=-0.5),
    GuidanceScale(guidance_scale=1.5),
    GuidanceScale(guidance_scale=0.5, negative_prompt="no"),
    LogitBias(logit_bias={3: 2.0, 5: -50.0}),
    MinNewTokens(min_new_tokens=5),
    MinP(min_p=0.1),
    MinK(min_k=True),
    MinK(min_k=True, min_k_tau=40.0, min_tokens_to_keep=2),
    Mirostat(tau=2.0, eta=0.5),
    MirostatV1(tau=2.0, eta=0.5),
    MirostatV1(tau=0.5, m=3),
    NoRepeatNgramSize(no_repeat_ngram_size=1),
    NoRepeatNgramSize(no_repeat_ngram_size=3),
    PLess(p_less=True),
    PresencePenalty(presence_penalty=0.5),
    PresencePenalty(presence_penalty=-0.5),
    RenormalizeLogits(renormalize_logits=True),
    RepetitionPenalty(repetition_penalty=1.3),
    RepetitionPenalty(repetition_penalty=0.7, repetition_penalty_scope="output"),
    SmoothingFactor(smoothing_factor=0.3),
    SmoothingFactor(smoothing_factor=0.3, smoothing_curve=3.0),
    Temperature(temperature=0.7),
    Temperature(temperature=0.0),
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
