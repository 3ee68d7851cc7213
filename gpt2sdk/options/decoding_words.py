"""What other programs call all that decides which tokens come, and when a text ends.

Of transformers' `GenerationConfig` and `generate`, vLLM's `SamplingParams`, llama.cpp and Ollama,
text-generation-webui, text-generation-inference, SGLang, exllamav3, mlx-lm, koboldcpp, TensorRT-LLM
and OpenAI's completions. The page `docs/reference/names.md` is made of these rows.
"""

from typing import Final

from gpt2sdk.elsewhere import row
from gpt2sdk.options.penalty_words import BIAS_WORDS, GUIDANCE_WORDS, PENALTY_WORDS
from gpt2sdk.options.sampling_words import SAMPLER_WORDS, TEMPERATURE_WORDS, TRUNCATION_WORDS
from gpt2sdk.options.strategy_words import DRAFTER_WORDS, STRATEGY_WORDS

LENGTH_WORDS: Final = (
    row(
        "max_new_tokens/TWS max_tokens/VMR n_predict/L max_length/TK max_completion_tokens "
        "max_output_tokens num_predict max_gen_len max_token max_tokens_to_sample",
        "max_new_tokens",
        "max_new_tokens counts new tokens alone",
        "transformers' max_length counts the prompt too; by default 128 or what fits, in "
        "transformers 20 in all, in vLLM 16",
    ),
    row(
        "auto_max_new_tokens/W",
        "max_new_tokens",
        "max_new_tokens=None lets rows grow by 128 tokens, or as far as fits",
    ),
    row(
        "min_new_tokens/TSX min_tokens/VR min_length/TK",
        "min_new_tokens",
        "min_new_tokens counts new tokens alone",
        "transformers' min_length counts the prompt and its padding too",
    ),
    row(
        "max_time/T t_max_predict_ms/L timeout max_seconds",
        "max_time",
        "max_time is in seconds",
        "transformers' is for a batch as a whole",
    ),
)
"""Of how long texts may be."""

END_WORDS: Final = (
    row(
        "stop/LVSR stop_conditions/X stop_strings/T stop_sequences stop_sequence/K stop_words "
        "stopping_strings "
        "custom_stopping_strings/W until",
        "stop",
        "stop=[…] ends a text before one of these texts",
        "transformers' text keeps the stop string",
    ),
    row("", "stop_spans_prompt", "stop_spans_prompt lets one begin in the prompt"),
    row(
        "stop_regex/S",
        "stop_regex stop_regex_include stop_regex_max_length",
        "stop_regex ends a text before a match, with stop_regex_include behind it, and "
        "stop_regex_max_length is how long one may be",
    ),
    row(
        "include_stop_str_in_output/VR include_stop no_stop_trim/S",
        "stop",
        "a text always ends before what stop names",
    ),
    row(
        "eos_token_id/T ignore_eos/LVS ban_eos_token/W",
        "eos_token_id",
        "eos_token_id=None lets rows go on past end tokens",
    ),
    row(
        "end_id/R eos_token eos_id eos_token_ids end_token",
        "eos_token_id",
        "eos_token_id takes the ids that end a row",
    ),
    row(
        "stop_token_ids/VSR stop_ids stop_tokens",
        "stop_token_ids",
        "stop_token_ids=[…] ends a row with one of them",
    ),
    row(
        "repetition_detection/V max_pattern_size/V min_pattern_size/V min_count/V stop_on_loop/X",
        "repetition_detection repetition_detection_min_pattern_size repetition_detection_min_count",
        "repetition_detection ends a text that goes in circles: of up to so many tokens, at least "
        "repetition_detection_min_pattern_size, and repetition_detection_min_count times over",
        "vLLM has one dictionary of max_pattern_size, min_pattern_size and min_count; exllamav3's "
        "stop_on_loop takes a window and a number of repeats",
    ),
)
"""Of where texts end."""

DECODING_WORDS: Final = {
    "Strategies": STRATEGY_WORDS,
    "Drafters": DRAFTER_WORDS,
    "Temperature and order": TEMPERATURE_WORDS,
    "Truncation": TRUNCATION_WORDS,
    "Samplers": SAMPLER_WORDS,
    "Penalties": PENALTY_WORDS,
    "Biases and rules": BIAS_WORDS,
    "Guidance": GUIDANCE_WORDS,
    "Length": LENGTH_WORDS,
    "Ends": END_WORDS,
}
"""All of them, by the headings of the page."""
