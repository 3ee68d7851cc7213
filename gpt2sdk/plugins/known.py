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
    "gpt2sdk-gguf": """
        Gguf gguf
    """,
    "gpt2sdk-quantization": """
        Int4 Int8 activation_bits group_size int4 int8
    """,
    "gpt2sdk-sampling": """
        AdaptiveP BadWords EpsilonCutoff EtaCutoff FrequencyPenalty GuidanceScale LogitBias MinK
        MinNewTokens MinP Mirostat MirostatV1 NoRepeatNgramSize PLess PresencePenalty
        RenormalizeLogits RepetitionPenalty SmoothingFactor Temperature Tfs TopA TopH TopK
        TopNSigma TopP TypicalP XtcProbability adaptive_decay adaptive_p adaptive_target bad_words
        dynatemp_exponent dynatemp_range epsilon_cutoff eta eta_cutoff frequency_penalty
        guidance_scale logit_bias m min_k min_k_tau min_new_tokens min_p min_tokens_to_keep
        mirostat mirostat_v1 negative_prompt no_repeat_ngram_size p_less presence_penalty
        renormalize_logits repetition_penalty repetition_penalty_scope smoothing_curve
        smoothing_factor tau temperature tfs top_a top_h top_k top_n_sigma top_p top_p_decay
        top_p_min top_p_reset_ids typical_p xtc_probability xtc_special_tokens xtc_threshold
    """,
    "gpt2sdk-stopping": """
        MaxTime Stop StopTokenIds max_time stop stop_spans_prompt stop_token_ids
    """,
    "gpt2sdk-storyteller": """
        Storyteller storyteller
    """,
    "gpt2sdk-strategies": """
        PromptLookup backtrack banned_phrases beam early_stopping ignore_case length_penalty
        max_matching_ngram_size min_matching_ngram_size num_beams prompt_lookup
    """,
}

COMMANDS = {
    "measure": "gpt2sdk-evaluation",
    "merge": "gpt2sdk-train",
    "train": "gpt2sdk-train",
}
