"""What other programs call temperatures, truncations and samplers."""

from typing import Final

from gpt2sdk.elsewhere import missing, row

TEMPERATURE_WORDS: Final = (
    row(
        "temperature/TLVWSXK temp/LM t",
        "temperature",
        "temperature divides the logits",
        "transformers refuses 0 and whole numbers; vLLM raises values below 0.01 to it; "
        "llama.cpp has 0.8 by default and applies it last",
    ),
    row(
        "dynatemp_range/LK dynatemp_exponent/LWK dynamic_temperature/W dynatemp_low/W "
        "dynatemp_high/W dynatemp",
        "dynatemp_range dynatemp_exponent temperature",
        "with dynatemp_range the temperature follows the entropy, to the power of "
        "dynatemp_exponent",
        "text-generation-webui names both ends, which are temperature - dynatemp_range and "
        "temperature + dynatemp_range; it adds the entropies of a batch up",
    ),
    row(
        "smoothing_factor/WK smoothing_curve/W quadratic_sampling",
        "smoothing_factor smoothing_curve",
        "smoothing_factor bends the logits by a parabola, smoothing_curve by a cubic",
    ),
    row(
        "renormalize_logits/T",
        "renormalize_logits",
        "renormalize_logits turns what is left into log-probabilities; a draw always normalizes",
    ),
    row("remove_invalid_values/T", "", "logits that are no numbers are an error"),
    row(
        "samplers/L sampler_priority/W temperature_last/W temp_last/X sampler_seq sampler_order/K",
        "processors",
        "options act in a fixed order, which `gpt2sdk explain` shows; "
        "processors=[…] act in the order of the list",
        "llama.cpp's order ends with the temperature",
    ),
)
"""Of temperatures, and of the order in which options act."""

TRUNCATION_WORDS: Final = (
    row(
        "top_k/TLVWSXMKR k",
        "top_k",
        "top_k keeps so many tokens",
        "transformers has 50 by default, llama.cpp 40; off is 0 here, in transformers None too, "
        "in SGLang -1",
    ),
    row(
        "top_p/TLVWSXMKR nucleus nucleus_p p",
        "top_p",
        "top_p keeps the smallest set of tokens that reaches it",
        "exllamav3 leaves the token out with which the sum reaches p; mlx-lm takes 0 for off",
    ),
    row(
        "top_p_decay/R top_p_min/R top_p_reset_ids/R",
        "top_p_decay top_p_min top_p_reset_ids top_p",
        "top_p shrinks by top_p_decay at each token down to top_p_min, until one of "
        "top_p_reset_ids",
    ),
    row(
        "min_p/TLVWSXMKR",
        "min_p",
        "min_p keeps what is at least that part as likely as the best token",
        "llama.cpp has 0.05 by default, and cuts before the temperature",
    ),
    row("top_h/T", "top_h", "top_h keeps the likeliest tokens that carry a part of the entropy"),
    row(
        "typical_p/TLW typ_p/L typical/K typical_mass",
        "typical_p",
        "typical_p keeps tokens of typical surprise",
    ),
    row(
        "epsilon_cutoff/TW",
        "epsilon_cutoff",
        "epsilon_cutoff is the least probability that stays",
        "text-generation-webui counts in units of 1e-4",
    ),
    row(
        "eta_cutoff/TW",
        "eta_cutoff",
        "eta_cutoff is the same with a limit that falls with the entropy",
        "text-generation-webui counts in units of 1e-4",
    ),
    row("top_a/WK", "top_a", "top_a keeps p of at least top_a times the square of the best p"),
    row(
        "tfs/WK tfs_z/L",
        "tfs",
        "tfs cuts where the sorted probabilities stop bending",
        "llama.cpp has removed it",
    ),
    row(
        "top_n_sigma/LW nsigma/K top_nsigma",
        "top_n_sigma",
        "top_n_sigma keeps logits within so many standard deviations of the best",
        "text-generation-webui counts tokens that are out as logits of 0",
    ),
    row(
        "",
        "min_k min_k_tau",
        "min_k cuts where the sorted logits fall off most; min_k_tau over their range is the least "
        "that stays",
        "a pull request to vLLM has the same names",
    ),
    row("", "p_less", "p_less keeps what is likelier than two draws' being the same token"),
    row(
        "xtc_probability/LWMK xtc_threshold/LWMK xtc_special_tokens/M SS_XTC/X",
        "xtc_probability xtc_threshold xtc_special_tokens",
        "xtc_probability is how often all likely tokens but the least of them go, xtc_threshold "
        "what is likely, and nothing goes where one of xtc_special_tokens would",
        "mlx-lm and exllamav3 spare the special tokens alone, llama.cpp none; mlx-lm tosses one "
        "coin for a batch, and exllamav3's SS_XTC none: it takes what is expected of it",
    ),
    row(
        "min_tokens_to_keep/TM min_keep/L",
        "min_tokens_to_keep",
        "min_tokens_to_keep is the fewest tokens that a truncation leaves",
    ),
    missing(
        "skew",
        "skew of cumulated probabilities, which exllamav2 had",
        "temperature smoothing_factor",
        "temperature and smoothing_factor flatten or sharpen by the logits",
    ),
    missing(
        "infill/L",
        "sampler for filling in between",
        "",
        "a GPT-2 has no tokens that say where a gap is, and prompts are continued at their end",
    ),
    row("filter_value/T", "", "what a truncation rules out gets -inf"),
)
"""Of truncations."""

SAMPLER_WORDS: Final = (
    row(
        "mirostat/LK mirostat_mode/W mirostat_tau/LWK mirostat_eta/LWK tau eta",
        "sampler=mirostat sampler=mirostat_v1 mirostat_tau mirostat_eta mirostat_m",
        'sampler="mirostat" is its second version and "mirostat_v1" its first, with mirostat_tau '
        "and mirostat_eta, the first with mirostat_m too",
        "llama.cpp leaves other truncations out where mirostat is on",
    ),
    row(
        "adaptive_target/LWXK adaptive_decay/LWXK",
        "sampler=adaptive_p adaptive_target adaptive_decay",
        'sampler="adaptive_p" draws near the probability adaptive_target, and adaptive_decay says '
        "how long it remembers",
    ),
    row(
        "seed/LVWR sampling_seed/S sampler_seed/K generator manual_seed random_seed rng "
        "random_state set_seed",
        "seed",
        "seed= makes a call repeatable",
        "transformers draws from torch's global generator",
    ),
)
"""Of samplers, and of what they draw with."""
