"""Who writes another program's option is told what it is called here, and told right."""

import inspect
import re
from collections import Counter

import pytest
from transformers import GenerationConfig, GenerationMixin

from gpt2sdk import Generator
from gpt2sdk.options.call_words import CALL_WORDS, CALLS_ELSEWHERE
from gpt2sdk.options.settings import Settings
from gpt2sdk.plugins.registry import default_registry

COMPONENTS = ()
METHODS = {
    word
    for name in ("from_pretrained", "engine", "chat", "chat_prompt")
    for word in (name, *inspect.signature(getattr(Generator, name)).parameters)
}
"""Of a generator's, which hints may send to, and what they take."""

# vLLM 0.12 `SamplingParams`; llama.cpp's server, `/completion`; text-generation-webui's sliders;
# OpenAI's legacy completions and chat completions; text-generation-inference's parameters.
ELSEWHERE = """
    n best_of presence_penalty frequency_penalty repetition_penalty temperature top_p top_k min_p
    seed stop stop_token_ids ignore_eos max_tokens min_tokens logprobs prompt_logprobs
    flat_logprobs detokenize skip_special_tokens spaces_between_special_tokens
    include_stop_str_in_output output_kind truncate_prompt_tokens structured_outputs
    guided_decoding logit_bias allowed_token_ids bad_words extra_args logits_processors

    n_predict n_keep n_probs stream dynatemp_range dynatemp_exponent xtc_probability xtc_threshold
    typical_p repeat_penalty repeat_last_n dry_multiplier dry_base dry_allowed_length
    dry_penalty_last_n dry_sequence_breakers mirostat mirostat_tau mirostat_eta grammar
    json_schema min_keep t_max_predict_ms id_slot cache_prompt samplers post_sampling_probs
    top_n_sigma num_predict num_ctx tfs_z

    dynamic_temperature smoothing_factor smoothing_curve tfs top_a encoder_repetition_penalty
    repetition_penalty_range penalty_alpha guidance_scale mirostat_mode truncation_length
    sampler_priority custom_token_bans negative_prompt auto_max_new_tokens ban_eos_token
    add_bos_token static_cache grammar_string custom_stopping_strings temperature_last do_sample

    max_completion_tokens echo suffix top_logprobs user messages response_format stream_options
    tools tool_choice metadata store

    stop_sequences return_full_text truncate watermark details decoder_input_details top_n_tokens

    input_ids attention_mask position_ids token_type_ids past_key_values inputs_embeds tokenizer
    assistant_tokenizer negative_prompt_ids prefix pad_token clean_up_tokenization_spaces
"""


@pytest.fixture(scope="module")
def options():
    return set(Settings.model_fields) | {
        option for offer in default_registry().offers() for option in offer.component.option_names()
    }


@pytest.fixture(scope="module")
def components():
    return {offer.name for offer in default_registry().offers()}


def test_every_option_of_transformers_has_an_answer(options):
    theirs = set(GenerationConfig().to_dict()) - {"transformers_version", "_from_model_config"}
    theirs |= set(inspect.signature(GenerationMixin.generate).parameters) - {"self", "kwargs"}

    assert set() == theirs - options - CALLS_ELSEWHERE.keys()


def test_options_of_other_programs_have_an_answer(options):
    assert set() == set(ELSEWHERE.split()) - options - CALLS_ELSEWHERE.keys()


def test_a_name_is_answered_once_and_only_if_it_is_no_option_here(options):
    names = Counter(name for row in CALL_WORDS for name in row.names)

    assert {} == {name: count for name, count in names.items() if count > 1}
    assert set() == names.keys() & options


def test_what_is_written_by_name_exists(components):
    named = {word.split('"')[1] for row in CALL_WORDS for word in row.written if '"' in word}

    assert set() == named - components


def test_hints_name_options_that_exist_and_no_others(options, components):
    for row in CALL_WORDS:
        # Words of a form that only options have, and whatever stands before an equals sign.
        mentioned = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|\b\w+(?==)", row.hint))
        assert set(row.here) <= options
        assert set() == {option for option in row.here if not re.search(rf"\b{option}\b", row.hint)}
        assert set() == mentioned - set(row.here) - components - METHODS


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("pad_token_id", "there is no option pad_token_id: it is not needed"),
        ("custom_token_bans", "bad_words takes texts and lists of token ids"),
        ("ignore_eos", "eos_token_id=None lets rows go on past end tokens"),
        ("min_tokens", "min_new_tokens counts new tokens alone"),
        ("skip-special-tokens", "a completion's text is without its end token"),
        ("stop_string", "stop=[…] ends a text before one of these texts"),
        ("mirostat_mode", 'sampler="mirostat" is its second version'),
        ("tau", "with mirostat_tau and mirostat_eta"),
        ("eta", "with mirostat_tau and mirostat_eta"),
        ("n_particles", 'strategy="smc" moves num_particles'),
        ("resampling_method", "resampling is how particles are chosen"),
        ("min_count", "repetition_detection_min_count times over"),
        ("max_pattern_size", "repetition_detection ends a text that goes in circles"),
        ("stop_on_loop", "repetition_detection ends a text that goes in circles"),
        ("relative_top", "among tokens above dola_relative_top"),
        ("reasoning_budget_message", "thinking_budget_message and thinking_budget_end are said"),
        ("return_alternatives", 'strategy="cot_decoding" follows num_branches first tokens'),
        ("repeat_last_n", "penalty_last_n is how many last tokens the three penalties look at"),
        ("rep_pen_slope", "there is no built-in penalty that fades with the distance"),
        ("watermarking_config", "kgw_bias marks text with a green list"),
        ("min_length", "(it is in gpt2sdk-sampling: pip install gpt2sdk-sampling)"),
        ("tokens_of_no_kind", "`gpt2sdk options` lists them all"),
    ],
)
def test_a_call_is_answered_in_our_words(refusal, option, message):
    assert message in refusal(**{option: 1})
