"""What other programs call penalties, biases, rules and guidance."""

from typing import Final

from gpt2sdk.elsewhere import missing, row

PENALTY_WORDS: Final = (
    row(
        "repetition_penalty/TVWSMR repeat_penalty/L rep_pen/K rep_p/X rep_penalty "
        "repetition_penality",
        "repetition_penalty",
        "repetition_penalty divides the logits of tokens that were there",
        "prompt and output count; unless penalty_last_n is given all of them, in mlx-lm the last "
        "20, in llama.cpp 64",
    ),
    row(
        "",
        "repetition_penalty_scope",
        'repetition_penalty_scope="output" leaves the prompt out',
    ),
    row(
        "repeat_last_n/L penalty_last_n/L repetition_penalty_range/W repetition_context_size/M "
        "presence_context_size/M frequency_context_size/M rep_sustain_range/X rep_pen_range/K",
        "penalty_last_n",
        "penalty_last_n is how many last tokens the three penalties look at, -1 for all",
        "all by default, in llama.cpp the last 64, in mlx-lm 20; 0 is none here and in llama.cpp, "
        "all in text-generation-webui",
    ),
    row(
        "encoder_repetition_penalty/TW hallucination_penalty",
        "encoder_repetition_penalty",
        "encoder_repetition_penalty is for what the prompt lacks",
    ),
    row(
        "frequency_penalty/LVWSMR freq_p/X frequency_pen freq_pen",
        "frequency_penalty",
        "frequency_penalty is taken from a token's logit each time it was there",
        "only the output counts here, in OpenAI's API and in vLLM; in llama.cpp and TensorRT-LLM "
        "the prompt too",
    ),
    row(
        "presence_penalty/LVWSMRK pres_p/X presence_pen",
        "presence_penalty",
        "presence_penalty is taken from the logits of tokens that were there",
        "as for the frequency penalty",
    ),
    row(
        "no_repeat_ngram_size/TWR no_repeat_ngram no_repeat_ngrams ngram_size/S",
        "no_repeat_ngram_size",
        "no_repeat_ngram_size is the length of what may not come twice",
    ),
    row(
        "window_size/S whitelist_token_ids/S",
        "no_repeat_ngram_window no_repeat_ngram_whitelist",
        "no_repeat_ngram_window is how far back n-grams count, and tokens of "
        "no_repeat_ngram_whitelist may complete one",
    ),
    row(
        "encoder_no_repeat_ngram_size/T",
        "encoder_no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size is the length of what may not be said after the prompt",
    ),
    row(
        "dry_multiplier/LWKX dry_base/LWKX dry_allowed_length/LWKX dry_penalty_last_n/LK "
        "dry_range/X dry_sequence_breakers/LWKX",
        "dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers",
        "dry_multiplier turns DRY on; dry_base, dry_allowed_length, dry_penalty_last_n and "
        "dry_sequence_breakers go with it",
        "dry_penalty_last_n is -1 by default, all tokens, in llama.cpp 64; exllamav3 has an "
        "argument of SS_DRY for each",
    ),
    row(
        "exponential_decay_length_penalty/T",
        "exponential_decay_length_penalty",
        "exponential_decay_length_penalty makes end tokens likelier as a text grows",
    ),
    missing(
        "rep_decay_range/X rep_pen_slope/K",
        "penalty that fades with the distance",
        "penalty_last_n",
        "penalty_last_n ends it at once",
    ),
    missing(
        "lz_penalty",
        "penalty by what a compressor would save (arXiv:2504.20131)",
        "dry_multiplier",
        "dry_multiplier grows with the length of a repetition too",
    ),
)
"""Of what makes repetition less likely, and length."""

BIAS_WORDS: Final = (
    row(
        "logit_bias/LVSMK SS_LogitBias/X",
        "logit_bias",
        "logit_bias adds to the logits of single tokens",
        "llama.cpp spreads a text's bias over all its tokens; vLLM clamps to ±100",
    ),
    row(
        "sequence_bias/T",
        "sequence_bias",
        "sequence_bias adds to the last token of a sequence that was begun",
    ),
    row("", "phrase_bias", "phrase_bias is the same for texts, however they are cut into tokens"),
    row(
        "",
        "expiring_bias expiring_bias_exit_words",
        "expiring_bias is one that ends after some tokens, or with expiring_bias_exit_words",
    ),
    row(
        "bad_words/V bad_words_ids/T bad/R bad_token_ids/R custom_token_bans/W token_bans "
        "token_bans_string ban_tokens",
        "bad_words",
        "bad_words takes texts and lists of token ids: bad_words=[[5], [7, 8]]",
    ),
    row("suppress_tokens/T", "suppress_tokens", "suppress_tokens are never said"),
    row(
        "begin_suppress_tokens/T",
        "begin_suppress_tokens",
        "begin_suppress_tokens are not said first",
    ),
    row("allowed_token_ids/V", "allowed_token_ids", "allowed_token_ids are all that may be said"),
    row(
        "prefix_allowed_tokens_fn/T",
        "prefix_allowed_tokens_fn",
        "prefix_allowed_tokens_fn says which tokens may follow",
        "here it is given the prompt's index, not the row's place in a batch",
    ),
    row("forced_bos_token_id/T", "forced_bos_token_id", "forced_bos_token_id comes first"),
    row("forced_eos_token_id/T", "forced_eos_token_id", "forced_eos_token_id comes last"),
    row("decoder_start_token_id/T", "", "what a text begins with stands in the prompt"),
    row(
        "thinking_token_budget/V thinking_budget/S reasoning_budget/L reasoning_budget_tokens/L "
        "reasoning_budget_message/L",
        "thinking_budget thinking_budget_start thinking_budget_message thinking_budget_end",
        "thinking_budget is how many tokens a block may have behind thinking_budget_start before "
        "thinking_budget_message and thinking_budget_end are said",
    ),
    row("token_healing/T", "token_healing", "token_healing takes the prompt's last token anew"),
    row(
        "watermarking_config/T watermark",
        "kgw_bias sampler=synthid_watermark processors",
        "kgw_bias marks text with a green list, and SynthID is a sampler, synthid_watermark; "
        "transformers' own processor is taken in processors=[…]",
        "green lists are of a hash of their own, so marks of transformers are not found by ours",
    ),
    row(
        "guided_decoding/R structured_outputs/V response_format",
        "json_schema regex grammar choice",
        "json_schema, regex, grammar (Lark or GBNF) or choice says what form a text has",
    ),
    row("guided_json/V json_schema/LS", "json_schema", "json_schema takes a schema"),
    row("guided_regex/V regex/S", "regex", "regex is what the whole text matches"),
    row(
        "grammar/L grammar_string/W guided_grammar/V ebnf/S",
        "grammar",
        "grammar is in Lark's syntax or GBNF",
        "SGLang's is in EBNF as xgrammar has it, which is close to GBNF",
    ),
    row("guided_choice/V", "choice", "choice takes the texts"),
    row(
        "grammar_triggers/L",
        "grammar_triggers",
        "grammar_triggers are texts behind which the form begins",
        "llama.cpp's are objects that may hold patterns, and its grammar includes the trigger",
    ),
    row(
        "",
        "json_max_depth json_max_items json_max_length json_digits json_max_whitespace",
        "json_max_depth, json_max_items, json_max_length, json_digits and json_max_whitespace "
        "bound what a schema leaves open",
    ),
    row("", "unigram_bias", "unigram_bias marks text with one green list"),
    row(
        "greenlist_ratio/T hashing_key/T seeding_scheme/T context_width/T",
        "greenlist_ratio hashing_key seeding_scheme context_width",
        "greenlist_ratio, hashing_key, seeding_scheme and context_width are options of a mark",
    ),
    row(
        "",
        "tournament_layers max_probability mixing_probability second_key",
        "tournament_layers, max_probability, mixing_probability and second_key are options of "
        "marks that samplers leave",
    ),
)
"""Of what makes tokens likelier, or rules them out, by name."""

GUIDANCE_WORDS: Final = (
    row(
        "guidance_scale/TW cfg_scale",
        "guidance_scale",
        "guidance_scale weighs the prompt",
    ),
    row(
        "negative_prompt/W negative_prompt_ids/T negative_prompt_attention_mask/T",
        "negative_prompt guidance_scale",
        "negative_prompt takes a text or token ids, and guidance_scale weighs it",
    ),
    row(
        "dola_layers/T relative_top",
        "dola_layers dola_relative_top dola_final_norm",
        "dola_layers are the layers that the last one is contrasted with, among tokens above "
        "dola_relative_top, and with dola_final_norm through the final norm",
        "transformers 5 loads it from a repository, as remote code",
    ),
    row(
        "",
        "amateur_model contrastive_alpha contrastive_beta amateur_temperature",
        "amateur_model is contrasted with, by contrastive_alpha, and contrastive_beta or "
        "amateur_temperature",
    ),
    row(
        "",
        "context_aware context_free_prompt",
        "context_aware contrasts with context_free_prompt",
    ),
    row(
        "Ensemble/G",
        "ensemble ensemble_op ensemble_weights",
        "ensemble mixes models, by ensemble_op with ensemble_weights",
    ),
)
"""Of a second distribution that is mixed in."""
