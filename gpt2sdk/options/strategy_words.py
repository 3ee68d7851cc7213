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
        "strategy=best_of_n best_of num_return_sequences",
        'strategy="best_of_n" draws best_of completions and keeps num_return_sequences of them',
    ),
    row(
        "SelfConsistency/I self_consistency/O",
        "strategy=self_consistency",
        'strategy="self_consistency" lets several answers vote',
    ),
    row(
        "cot_decoding/O",
        "strategy=cot_decoding",
        'strategy="cot_decoding" branches at the first token',
    ),
    row("deepconf/O", "strategy=deepconf", 'strategy="deepconf" ends answers that lose confidence'),
    row(
        "SMC/G ParticleFiltering/I",
        "strategy=smc",
        'strategy="smc" moves particles towards a target',
    ),
    row(
        "ParticleGibbs/I",
        "strategy=particle_gibbs",
        'strategy="particle_gibbs" repeats it around one particle',
    ),
    row(
        "AWRS/G",
        "strategy=awrs",
        'strategy="awrs" draws under a constraint by weighted rejection',
    ),
    row(
        "",
        "strategy=metropolis_hastings",
        'strategy="metropolis_hastings" draws by second thoughts',
    ),
    row("", "strategy=power_sampling", 'strategy="power_sampling" draws from a sharpened model'),
    row("", "strategy=tree_search", 'strategy="tree_search" expands the most promising text'),
    row(
        "",
        "strategy=beam_sample",
        'strategy="beam_sample" draws the beams',
        "transformers does so where num_beams and do_sample are set",
    ),
    row(
        "trace_decode_token_ids/V",
        "strategy=replay",
        'strategy="replay" says given tokens, with their log-probabilities',
    ),
    missing(
        "entropy_decoding/O",
        "decoding that watches attention",
        "sampler",
        'sampler="mirostat" steers by surprise',
    ),
    row(
        "banned_strings/X banned_tokens/K anti_slop",
        "strategy=backtrack banned_phrases",
        'strategy="backtrack" takes back what was said: banned_phrases=[…]',
    ),
)
"""Of strategies."""

DRAFTER_WORDS: Final = (
    row(
        "prompt_lookup_num_tokens/T speculation_type/T ngram_prompt_lookup",
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
        'drafter="early_exit" proposes what the first assistant_early_exit layers would say',
    ),
    row("", "drafter=suffix", 'drafter="suffix" proposes from all that was written'),
    row("", "drafter=corpus", 'drafter="corpus" proposes from texts that you have'),
)
"""Of drafters."""
