"""What other programs call the options that decide which tokens are picked.

Of transformers' `GenerationConfig` and `generate`, vLLM's `SamplingParams`, llama.cpp and Ollama,
text-generation-webui, text-generation-inference, and OpenAI's completions.
"""

from typing import Final

from gpt2sdk.elsewhere import missing, row

SAMPLING_WORDS: Final = (
    # Strategies.
    row(
        "do_sample use_beam_search dynamic_sampling",
        "strategy",
        'strategy="sample" is the default and draws, "greedy" does not, "beam" searches',
    ),
    row("greedy_search", "strategy", 'strategy="greedy" takes the likeliest token'),
    row(
        "beam_size beam_width n_beams beams num_beam_search",
        "strategy num_beams",
        'strategy="beam" searches with num_beams hypotheses',
    ),
    row("low_memory", "batch_size", "batch_size says how many rows are read at a time"),
    row(
        "force_words_ids constraints",
        "strategy force_words",
        'strategy="constrained_beam" says all that force_words has, texts or token ids',
    ),
    missing(
        "prefix_allowed_tokens_fn",
        "function of what is allowed",
        "processors",
        "processors=[…] takes a callable that rules tokens out",
    ),
    # Temperature and truncations.
    row("temp t", "temperature", "temperature divides the logits"),
    missing(
        "dynatemp_range dynatemp_exponent dynamic_temperature dynatemp_low dynatemp_high "
        "smoothing_factor smoothing_curve",
        "temperature that depends on the distribution",
        "temperature sampler",
        'temperature divides the logits, and sampler="mirostat" steers by surprise',
    ),
    missing(
        "top_n_sigma top_nsigma nsigma top_a tfs tfs_z xtc_probability xtc_threshold",
        "truncation of this kind",
        "min_p top_h",
        "min_p and top_h cut by what the distribution looks like",
    ),
    missing(
        "adaptive_target adaptive_decay",
        "sampling towards a target probability",
        "sampler",
        'sampler="mirostat" steers by surprise',
    ),
    row("nucleus nucleus_p p", "top_p", "top_p keeps the smallest set of tokens that reaches it"),
    row("k", "top_k", "top_k keeps so many tokens"),
    row("typ_p typical typical_mass", "typical_p", "typical_p keeps tokens of typical surprise"),
    row(
        "mirostat mirostat_mode mirostat_tau mirostat_eta",
        "sampler tau eta",
        'sampler="mirostat" is its second version, with the options tau and eta',
    ),
    row(
        "min_keep",
        "min_tokens_to_keep",
        "min_tokens_to_keep is the fewest tokens that a truncation leaves",
    ),
    row("filter_value", "", "what a truncation rules out gets -inf"),
    row(
        "samplers sampler_priority temperature_last sampler_seq sampler_order",
        "processors",
        "options act in a fixed order, which `gpt2sdk explain` shows; "
        "processors=[…] act in the order of the list",
    ),
    row(
        "renormalize_logits remove_invalid_values",
        "",
        "a draw always normalizes, and logits that are no numbers are an error",
    ),
    # Penalties and biases.
    row(
        "repeat_penalty rep_pen rep_penalty repetition_penality",
        "repetition_penalty",
        "repetition_penalty divides the logits of tokens that were there",
    ),
    row(
        "repeat_last_n repetition_penalty_range rep_pen_range rep_pen_slope penalty_last_n",
        "repetition_penalty_scope",
        'repetition_penalty_scope="all" or "output" says which tokens count; there is no range',
    ),
    missing(
        "encoder_repetition_penalty encoder_no_repeat_ngram_size hallucination_penalty",
        "penalty on what the prompt lacks",
        "repetition_penalty_scope",
        'repetition_penalty_scope="output" leaves the prompt out of the penalty',
    ),
    row(
        "presence_pen",
        "presence_penalty",
        "presence_penalty is taken from the logits of tokens that were there",
    ),
    row(
        "frequency_pen freq_pen",
        "frequency_penalty",
        "frequency_penalty is taken from a token's logit each time it was there",
    ),
    missing(
        "dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers "
        "repetition_detection",
        "DRY penalty",
        "no_repeat_ngram_size",
        "no_repeat_ngram_size forbids repeated sequences",
    ),
    row(
        "no_repeat_ngram no_repeat_ngrams ngram_size",
        "no_repeat_ngram_size",
        "no_repeat_ngram_size is the length of what may not come twice",
    ),
    row(
        "sequence_bias",
        "logit_bias bad_words",
        "logit_bias adds to single tokens, and bad_words rules sequences out",
    ),
    row(
        "bad_words_ids suppress_tokens custom_token_bans banned_tokens token_bans "
        "token_bans_string ban_tokens",
        "bad_words",
        "bad_words takes texts and lists of token ids: bad_words=[[5], [7, 8]]",
    ),
    row("banned_strings anti_slop", "banned_phrases", "banned_phrases takes back what was said"),
    missing(
        "begin_suppress_tokens allowed_token_ids exponential_decay_length_penalty",
        "rule of this kind",
        "processors",
        "processors=[…] takes a callable (logits, rows), which changes the logits",
    ),
    missing(
        "forced_bos_token_id forced_eos_token_id decoder_start_token_id",
        "forced token",
        "",
        "what a text begins with stands in the prompt",
    ),
    missing(
        "watermarking_config watermark",
        "watermark",
        "processors",
        "processors=[…] takes transformers' own WatermarkLogitsProcessor",
    ),
    missing("token_healing", "token healing", "", "end a prompt where a word ends"),
    missing(
        "grammar grammar_string json_schema guided_decoding guided_json guided_regex "
        "guided_choice guided_grammar structured_outputs response_format regex",
        "grammar",
        "processors",
        "processors=[…] takes a callable that rules tokens out",
    ),
    row(
        "negative_prompt_ids negative_prompt_attention_mask",
        "negative_prompt guidance_scale",
        "negative_prompt takes a text or token ids, and guidance_scale weighs it",
    ),
    row("cfg_scale", "guidance_scale", "guidance_scale weighs the prompt"),
)
"""Of strategies, truncations, penalties, biases and rules."""
