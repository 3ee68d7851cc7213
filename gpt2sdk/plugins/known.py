"""First-party components, classes and options by distribution, and commands.

Written by scripts/make_component_stub.py.
"""

KNOWN = {
    "gpt2sdk-accelerate": """
        Auto Balanced CpuOffload DeviceMap DiskOffload Inferred Sequential auto balanced
        cache_tokens cpu_offload device_map disk_offload inferred offload_folder sequential
    """,
    "gpt2sdk-bitsandbytes": """
        BnbFp4 BnbInt8 BnbNf4 block_size bnb_fp4 bnb_int8 bnb_nf4 compute_dtype double_quant
        embeddings skip_modules threshold
    """,
    "gpt2sdk-contrast": """
        ContextAware ContrastiveDecoding DolaLayers Ensemble amateur_model amateur_temperature
        context_aware context_free_prompt contrastive_alpha contrastive_beta contrastive_decoding
        contrastive_search dola_final_norm dola_layers dola_relative_top ensemble ensemble_op
        ensemble_weights penalty_alpha
    """,
    "gpt2sdk-drafters": """
        Corpus DraftModel EarlyExit PromptLookup Suffix assistant_confidence_threshold
        assistant_cost assistant_early_exit assistant_model corpus draft_model early_exit
        max_matching_ngram_size min_matching_ngram_size prompt_lookup suffix
        suffix_decoding_max_cached_requests suffix_decoding_max_spec_factor
        suffix_decoding_max_tree_depth suffix_decoding_min_token_prob
    """,
    "gpt2sdk-gguf": """
        Gguf gguf
    """,
    "gpt2sdk-guided": """
        Choice Grammar JsonSchema Regex choice grammar grammar_triggers json_digits json_max_depth
        json_max_items json_max_length json_max_whitespace json_schema regex
    """,
    "gpt2sdk-native": """
        NativeRunner native
    """,
    "gpt2sdk-quantization": """
        Int4 Int8 activation_bits group_size int4 int8
    """,
    "gpt2sdk-sampling": """
        AdaptiveP AllowedTokenIds BadWords BeginSuppressTokens DryMultiplier
        EncoderNoRepeatNgramSize EncoderRepetitionPenalty EpsilonCutoff EtaCutoff ExpiringBias
        ExponentialDecayLengthPenalty ForcedBosTokenId ForcedEosTokenId FrequencyPenalty
        GuidanceScale LogitBias MinK MinNewTokens MinP Mirostat MirostatV1 NoRepeatNgramSize PLess
        PhraseBias PrefixAllowedTokensFn PresencePenalty RenormalizeLogits RepetitionPenalty
        SequenceBias SmoothingFactor SuppressTokens Temperature Tfs ThinkingBudget TokenHealing
        TopA TopH TopK TopNSigma TopP TypicalP XtcProbability adaptive_decay adaptive_p
        adaptive_target allowed_token_ids bad_words begin_suppress_tokens dry_allowed_length
        dry_base dry_multiplier dry_penalty_last_n dry_sequence_breakers dynatemp_exponent
        dynatemp_range encoder_no_repeat_ngram_size encoder_repetition_penalty epsilon_cutoff
        eta_cutoff expiring_bias expiring_bias_exit_words exponential_decay_length_penalty
        forced_bos_token_id forced_eos_token_id frequency_penalty guidance_scale logit_bias min_k
        min_k_tau min_new_tokens min_p min_tokens_to_keep mirostat mirostat_eta mirostat_m
        mirostat_tau mirostat_v1 negative_prompt no_repeat_ngram_size no_repeat_ngram_whitelist
        no_repeat_ngram_window p_less penalty_last_n phrase_bias prefix_allowed_tokens_fn
        presence_penalty renormalize_logits repetition_penalty repetition_penalty_scope
        sequence_bias smoothing_curve smoothing_factor suppress_tokens temperature tfs
        thinking_budget thinking_budget_end thinking_budget_message thinking_budget_start
        token_healing top_a top_h top_k top_n_sigma top_p top_p_decay top_p_min top_p_reset_ids
        typical_p xtc_probability xtc_special_tokens xtc_threshold
    """,
    "gpt2sdk-steering": """
        alpha ancestor_sampling at_limit awrs beam_factor block_size constraint ess_threshold
        max_accepts max_rejects metropolis_hastings num_iterations num_moves num_particles
        particle_gibbs potential power_sampling resampling smc terminate_when unit
    """,
    "gpt2sdk-stopping": """
        MaxTime RepetitionDetection Stop StopRegex StopTokenIds max_time repetition_detection
        repetition_detection_min_count repetition_detection_min_pattern_size stop stop_regex
        stop_regex_include stop_regex_max_length stop_spans_prompt stop_token_ids
    """,
    "gpt2sdk-storyteller": """
        Storyteller storyteller
    """,
    "gpt2sdk-strategies": """
        aggregate answer backtrack banned_phrases beam beam_sample best_of best_of_n budget c_puct
        confidence confidence_tokens consensus constrained_beam continuation cot_decoding deepconf
        diverse_beam diversity_penalty early_stopping force_words group_size ignore_case keep
        length_penalty num_beam_groups num_beams num_branches num_children num_simulations
        num_warmup replay rollout_tokens scorer self_consistency stochastic_beam stop_rule
        supermajority tree_search value visit_temperature
    """,
    "gpt2sdk-transformers": """
        TransformersArchitecture transformers
    """,
    "gpt2sdk-watermark": """
        GumbelWatermark KgwWatermark SynthidWatermark UnigramWatermark context_width
        greenlist_ratio gumbel_watermark hashing_key kgw_bias kgw_watermark max_probability
        mixing_probability second_key seeding_scheme synthid_watermark tournament_layers
        unigram_bias unigram_watermark
    """,
}

COMMANDS = {
    "batch": "gpt2sdk-batch",
    "lm-eval": "gpt2sdk-lm-eval",
    "measure": "gpt2sdk-evaluation",
    "merge": "gpt2sdk-train",
    "serve": "gpt2sdk-serve",
    "train": "gpt2sdk-train",
}
