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
    "gpt2sdk-quantization": """
        Int4 Int8 activation_bits group_size int4 int8
    """,
    "gpt2sdk-sampling": """
        BadWords EpsilonCutoff EtaCutoff FrequencyPenalty GuidanceScale LogitBias MinNewTokens
        MinP Mirostat NoRepeatNgramSize PresencePenalty RepetitionPenalty Temperature TopH TopK
        TopP TypicalP bad_words epsilon_cutoff eta eta_cutoff frequency_penalty guidance_scale
        logit_bias min_new_tokens min_p min_tokens_to_keep mirostat negative_prompt
        no_repeat_ngram_size presence_penalty repetition_penalty repetition_penalty_scope tau
        temperature top_h top_k top_p typical_p
    """,
    "gpt2sdk-stopping": """
        MaxTime Stop StopTokenIds max_time stop stop_spans_prompt stop_token_ids
    """,
    "gpt2sdk-storyteller": """
        Storyteller storyteller
    """,
    "gpt2sdk-strategies": """
        backtrack banned_phrases beam early_stopping ignore_case length_penalty num_beams
    """,
}

COMMANDS = {
    "measure": "gpt2sdk-evaluation",
    "merge": "gpt2sdk-train",
    "train": "gpt2sdk-train",
}
