"""What other programs call strategies, drafters and their options."""

from typing import Final

from gpt2sdk.elsewhere import missing, row

STRATEGY_WORDS: Final = (
    row(
        "do_sample/TW use_beam_search dynamic_sampling",
        "strategy=sample strategy=greedy",
        'strategy="sample" is the default and draws, "greedy" does not, "beam" searches',
        "vLLM, SGLang, llama.cpp and mlx-lm are greedy at temperature 0",
    ),
    row("greedy_search", "strategy=greedy", 'strategy="greedy" takes the likeliest token'),
    row(
        "num_beams/T beam_width/VSR beam_size n_beams beams num_beam_search",
        "strategy=beam num_beams",
        'strategy="beam" searches with num_beams hypotheses',
    ),
    row(
        "length_penalty/TVR",
        "length_penalty",
        "length_penalty is the power of the length by which beams' scores are divided",
    ),
    row("early_stopping/TR", "early_stopping", "early_stopping says when beams are enough"),
    row(
        "num_beam_groups/T diversity_penalty/T beam_search_diversity_rate/R",
        "strategy=diverse_beam num_beam_groups diversity_penalty",
        'strategy="diverse_beam" searches in num_beam_groups that keep apart by diversity_penalty',
        "transformers 5 loads it from a repository as remote code",
    ),
    row(
        "force_words_ids/T constraints/T",
        "strategy=constrained_beam force_words",
        'strategy="constrained_beam" takes texts and lists of token ids: force_words=[…]',
        "transformers 5 loads it from a repository as remote code",
    ),
    row(
        "",
        "strategy=stochastic_beam",
        'strategy="stochastic_beam" draws sequences without replacement',
    ),
    row(
        "penalty_alpha/TW low_memory/T",
        "strategy=contrastive_search penalty_alpha top_k",
        'strategy="contrastive_search" weighs with penalty_alpha among top_k tokens',
        "transformers 5 loads it from a repository as remote code",
    ),
    row(
        "n/VSR num_return_sequences/T n_cmpl/L num_samples num_completions num_generations "
        "num_sequences",
        "num_return_sequences",
        "num_return_sequences is the number of completions of each prompt",
    ),
    row(
        "best_of/R BestOfN/I bon/O",
        "strategy=best_of_n best_of num_return_sequences scorer",
        'strategy="best_of_n" draws best_of completions and keeps num_return_sequences of them, '
        "the best ones by scorer",
    ),
    row(
        "SelfConsistency/I self_consistency/O",
        "strategy=self_consistency answer budget stop_rule supermajority confidence",
        'strategy="self_consistency" lets up to budget completions vote, each by what answer finds '
        "in it; stop_rule ends the vote sooner, at a supermajority or at a confidence",
    ),
    row(
        "cot_decoding/O aggregate_paths/O return_alternatives",
        "strategy=cot_decoding num_branches answer aggregate",
        'strategy="cot_decoding" follows num_branches first tokens, and is as sure of each as of '
        "its answer; aggregate adds up those with the same one",
    ),
    row(
        "deepconf/O",
        "strategy=deepconf answer budget num_warmup keep group_size confidence_tokens consensus",
        'strategy="deepconf" ends completions that lose confidence: their mean over group_size '
        "tokens, each by its confidence_tokens likeliest ones, falls below what the part keep of "
        "num_warmup has; the others of a budget vote by their answer, up to a consensus",
    ),
    row(
        "SMC/G ParticleFiltering/I n_particles/G",
        "strategy=smc num_particles",
        'strategy="smc" moves num_particles towards a target',
    ),
    row("critic/G", "potential", "potential=… weighs texts"),
    row(
        "resampling_method/G ess_threshold/G",
        "resampling ess_threshold beam_factor",
        "resampling is how particles are chosen, once the part of them that counts is below "
        "ess_threshold, among beam_factor copies of each",
    ),
    row(
        "terminate_when/G",
        "unit at_limit terminate_when",
        "unit is what is written between two resamplings, at_limit what becomes of a text without "
        "an end, and terminate_when says where one is finished",
    ),
    row(
        "ParticleGibbs/I",
        "strategy=particle_gibbs num_iterations ancestor_sampling",
        'strategy="particle_gibbs" does so num_iterations times, around a text that is kept, whose '
        "beginning ancestor_sampling chooses anew",
    ),
    row(
        "AWRS/G max_accepts/G max_rejects/G",
        "strategy=awrs constraint max_accepts max_rejects",
        'strategy="awrs" draws under a constraint by weighted rejection: constraint=…, with '
        "max_accepts and max_rejects at each token",
    ),
    row(
        "",
        "strategy=metropolis_hastings num_moves",
        'strategy="metropolis_hastings" draws by second thoughts, num_moves of them',
    ),
    row(
        "",
        "strategy=power_sampling alpha num_moves block_size",
        'strategy="power_sampling" draws from the model to the power of alpha, by num_moves behind '
        "every block_size tokens",
    ),
    row(
        "",
        "strategy=tree_search value num_simulations num_children c_puct rollout_tokens "
        "visit_temperature",
        'strategy="tree_search" expands the most promising text by its value: num_simulations '
        "before each token, num_children of each text, weighed by c_puct, judged behind "
        "rollout_tokens, and chosen at visit_temperature",
    ),
    row(
        "",
        "strategy=beam_sample",
        'strategy="beam_sample" draws what its beams go on with',
    ),
    row(
        "trace_decode_token_ids/V",
        "strategy=replay continuation",
        'strategy="replay" says continuation=…, with its log-probabilities',
    ),
    missing(
        "entropy_decoding/O",
        "decoding that watches attention",
        "sampler",
        'sampler="mirostat" steers by surprise',
    ),
    row(
        "banned_strings/X banned_tokens/K anti_slop",
        "strategy=backtrack banned_phrases ignore_case",
        'strategy="backtrack" takes back what was said: banned_phrases=[…], with ignore_case in '
        "capitals and small letters",
    ),
)
"""Of strategies."""

DRAFTER_WORDS: Final = (
    row(
        "prompt_lookup_num_tokens/T speculation_type/T spec_type/L speculative_algorithm/S "
        "ngram_match_min/X ngram_prompt_lookup",
        "drafter=prompt_lookup",
        'drafter="prompt_lookup" proposes tokens that stood after the same words before',
    ),
    row(
        "max_matching_ngram_size/T prompt_lookup_max/V",
        "max_matching_ngram_size",
        "max_matching_ngram_size is how many tokens are looked up",
    ),
    row(
        "prompt_lookup_min/V",
        "min_matching_ngram_size",
        "min_matching_ngram_size is how many at least",
    ),
    row(
        "assistant_model/T model_draft/LW draft_model/MX speculative_model/V speculative_config/V "
        "speculative_draft_model_path/S",
        "drafter=draft_model assistant_model",
        'drafter="draft_model" proposes what assistant_model=… picks: a Generator, or a folder',
    ),
    row(
        "assistant_confidence_threshold/T draft_p_min/L",
        "assistant_confidence_threshold",
        "assistant_confidence_threshold ends a proposal at a token that the draft finds less "
        "probable",
    ),
    row("", "assistant_cost", "assistant_cost is what a token of it takes, in calls of the model"),
    row(
        "num_assistant_tokens/T num_assistant_tokens_schedule/T assistant_lookbehind/T "
        "target_lookbehind/T is_assistant/T draft_max/LW draft_min/L num_speculative_tokens/V "
        "speculative_num_draft_tokens/S num_draft_tokens/M",
        "drafter",
        "there is nothing to set: how much a drafter proposes follows what was accepted",
    ),
    missing(
        "assistant_ensemble_weight/T use_mtp/T",
        "draft that changes what is picked, or needs heads of its own",
        "drafter",
        "what a drafter proposes never changes the tokens",
    ),
    row(
        "assistant_early_exit/T",
        "drafter=early_exit assistant_early_exit",
        'drafter="early_exit" proposes what the model would say after assistant_early_exit blocks',
    ),
    row(
        "suffix_decoding_max_tree_depth/V suffix_decoding_max_cached_requests/V "
        "suffix_decoding_max_spec_factor/V suffix_decoding_min_token_prob/V",
        "drafter=suffix suffix_decoding_max_tree_depth suffix_decoding_max_cached_requests "
        "suffix_decoding_max_spec_factor suffix_decoding_min_token_prob",
        'drafter="suffix" proposes from all that was written: behind up to '
        "suffix_decoding_max_tree_depth tokens, from suffix_decoding_max_cached_requests texts, "
        "suffix_decoding_max_spec_factor times as many as were found again, and of at least "
        "suffix_decoding_min_token_prob",
    ),
    row("", "drafter=corpus corpus", 'drafter="corpus" proposes from files: corpus=…'),
)
"""Of drafters."""
