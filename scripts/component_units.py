"""The unit of every option that is a number, or has one in it; by name, since names mean one thing.

`make_component_pages.py` puts them into its tables, and refuses an option that is not here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_NAMES: Final[Mapping[str, str]] = {
    "nats": """
        diversity_penalty dry_multiplier frequency_penalty kgw_bias logit_bias min_k_tau phrase_bias
        presence_penalty sequence_bias unigram_bias""",
    "nats, tokens": "expiring_bias",
    "1 / nat": "smoothing_factor",
    "bits": "activation_bits mirostat_tau",
    "standard deviations": "top_n_sigma",
    "probability": """
        adaptive_target assistant_confidence_threshold confidence epsilon_cutoff eta_cutoff
        max_probability mixing_probability top_p top_p_min typical_p xtc_probability
        xtc_threshold""",
    "share": """
        consensus contrastive_alpha dola_relative_top ensemble_weights ess_threshold greenlist_ratio
        keep min_p penalty_alpha suffix_decoding_min_token_prob supermajority tfs top_a top_h""",
    "factor": """
        adaptive_decay amateur_temperature c_puct context_aware contrastive_beta dry_base
        dynatemp_range encoder_repetition_penalty guidance_scale mirostat_eta repetition_penalty
        smoothing_curve suffix_decoding_max_spec_factor temperature top_p_decay
        visit_temperature""",
    "exponent": "alpha dynatemp_exponent length_penalty",
    "tokens, factor": "exponential_decay_length_penalty",
    "tokens": """
        block_size cache_tokens confidence_tokens context_width dry_allowed_length
        dry_penalty_last_n encoder_no_repeat_ngram_size group_size logprobs max_accepts
        max_matching_ngram_size max_new_tokens max_rejects min_matching_ngram_size min_new_tokens
        min_tokens_to_keep no_repeat_ngram_size no_repeat_ngram_window num_branches num_children
        penalty_last_n repetition_detection repetition_detection_min_pattern_size rollout_tokens
        suffix_decoding_max_tree_depth thinking_budget top_k unit""",
    "token id": """
        allowed_token_ids bad_words begin_suppress_tokens context_free_prompt continuation
        eos_token_id force_words forced_bos_token_id forced_eos_token_id negative_prompt
        no_repeat_ngram_whitelist stop_token_ids suppress_tokens thinking_budget_end
        thinking_budget_message thinking_budget_start top_p_reset_ids xtc_special_tokens""",
    "characters": "json_max_length json_max_whitespace stop_regex_max_length",
    "digits": "json_digits",
    "count": """
        assistant_early_exit batch_size beam_factor best_of bnb_fp4.block_size bnb_nf4.block_size
        budget json_max_depth json_max_items mirostat_m num_beam_groups num_beams num_iterations
        num_moves num_particles num_return_sequences num_simulations num_warmup
        repetition_detection_min_count suffix_decoding_max_cached_requests tournament_layers""",
    "layer": "dola_layers",
    "calls of the model": "assistant_cost",
    "seconds": "max_time",
    "–": "device_map hashing_key second_key seed threshold",
}
"""Units, each with its options; `component.option` where one name has two."""

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {name: unit for unit, names in _NAMES.items() for name in names.split()}
)
"""The unit of each option, by its name; – for a number that counts and measures nothing."""
