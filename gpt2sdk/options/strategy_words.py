"""What other programs call strategies, drafters and their options."""

from typing import Final

from gpt2sdk.elsewhere import row

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
        "best_of/R",
        "strategy=best_of_n best_of num_return_sequences",
        'strategy="best_of_n" draws best_of completions and keeps the best num_return_sequences',
    ),
    row("", "strategy=self_consistency", 'strategy="self_consistency" lets several answers vote'),
    row("", "strategy=cot_decoding", 'strategy="cot_decoding" branches at the first token'),
    row("", "strategy=deepconf", 'strategy="deepconf" ends answers that lose confidence'),
    row("", "strategy=smc num_particles", 'strategy="smc" moves num_particles towards a target'),
    row(
        "",
        "strategy=particle_gibbs num_iterations",
        'strategy="particle_gibbs" does so num_iterations times, around a text that is kept',
    ),
    row(
        "",
        "strategy=awrs constraint",
        'strategy="awrs" draws under a constraint by weighted rejection: constraint=…',
    ),
    row("", "strategy=power_sampling", 'strategy="power_sampling" draws from a sharpened model'),
    row("", "strategy=tree_search", 'strategy="tree_search" expands the most promising text'),
    row(
        "trace_decode_token_ids/V",
        "strategy=replay",
        'strategy="replay" says given tokens, with their log-probabilities',
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
        "assistant_model/T speculative_model/V speculative_config/V num_assistant_tokens/T "
        "num_assistant_tokens_schedule/T assistant_lookbehind/T target_lookbehind/T "
        "assistant_ensemble_weight/T is_assistant/T use_mtp/T",
        "drafter=draft_model assistant_model",
        'drafter="draft_model" proposes what the smaller assistant_model would say',
        "how much is proposed follows from what was accepted",
    ),
    row(
        "assistant_early_exit/T",
        "drafter=early_exit assistant_early_exit",
        'drafter="early_exit" proposes what the model would say after assistant_early_exit blocks',
    ),
    row(
        "assistant_confidence_threshold/T",
        "assistant_confidence_threshold",
        "assistant_confidence_threshold is the least probability of what is proposed",
    ),
    row("", "drafter=suffix", 'drafter="suffix" proposes from all that was written'),
    row("", "drafter=corpus corpus", 'drafter="corpus" proposes from files: corpus=…'),
)
"""Of drafters."""
