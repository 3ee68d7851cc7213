"""Values with which the pictures of `make_component_pages.py` are made."""

from collections.abc import Mapping

from distribution_picture import generator

from gpt2sdk import Component, LogitsProcessor, Sampler
from gpt2sdk.testing.examples import example_of

QUEEN, KING, PRINCE, BOY = 1132, 505, 718, 864
"""The likeliest tokens behind the prompt."""

EXAMPLES: Mapping[str, Mapping[str, object]] = {
    "adaptive_p": {"adaptive_target": 0.1},
    "allowed_token_ids": {"allowed_token_ids": [KING, PRINCE, BOY]},
    "bad_words": {"bad_words": [" queen"]},
    "begin_suppress_tokens": {"begin_suppress_tokens": [QUEEN]},
    "context_aware": {"context_aware": 0.5, "context_free_prompt": "said to the"},
    "dola_layers": {"dola_layers": "low"},
    "dry_multiplier": {"dry_multiplier": 2.0, "dry_allowed_length": 1},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 2},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 1.3},
    "epsilon_cutoff": {"epsilon_cutoff": 0.02},
    "eta_cutoff": {"eta_cutoff": 0.02},
    "expiring_bias": {"expiring_bias": [(" fox", 3.0, 1)]},
    "frequency_penalty": {"frequency_penalty": 0.7},
    "guidance_scale": {"guidance_scale": 1.5},
    "logit_bias": {"logit_bias": {PRINCE: 2.0}},
    "min_k": {"min_k": True},
    "min_p": {"min_p": 0.1},
    "mirostat": {"mirostat_tau": 3.0},
    "mirostat_v1": {"mirostat_tau": 3.0},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
    "p_less": {"p_less": True},
    "phrase_bias": {"phrase_bias": [(" fox", 3.0)]},
    "presence_penalty": {"presence_penalty": 1.5},
    "repetition_penalty": {"repetition_penalty": 1.3},
    "sequence_bias": {"sequence_bias": [([PRINCE], 2.0)]},
    "smoothing_factor": {"smoothing_factor": 0.5},
    "suppress_tokens": {"suppress_tokens": [QUEEN]},
    "temperature": {"temperature": 0.6},
    "tfs": {"tfs": 0.9},
    "top_a": {"top_a": 0.4},
    "top_h": {"top_h": 0.4},
    "top_k": {"top_k": 5},
    "top_n_sigma": {"top_n_sigma": 2.5},
    "top_p": {"top_p": 0.5},
    "typical_p": {"typical_p": 0.4},
    "xtc_probability": {"xtc_probability": 1.0, "xtc_threshold": 0.05},
    "multinomial": {},
    "greedy": {},
}
"""By component; those that are not here have no picture, unless a model makes one."""


def example(component: type[Component]) -> Component | None:
    """Return a component to make a picture with; `None` where there is none."""
    if not issubclass(component, LogitsProcessor | Sampler):
        return None
    if component.name == "contrastive_decoding":
        return example_of(component, {"amateur_model": generator().model.shallow(2)})
    if component.name == "ensemble":
        return example_of(component, {"ensemble": [generator().model.shallow(2)]})
    if component.name not in EXAMPLES:
        return None
    return component(**EXAMPLES[component.name])
