"""What other programs call the options of a call: the rest of them, and all."""

from typing import Final

from gpt2sdk.elsewhere import by_name, missing, row
from gpt2sdk.mention import argument
from gpt2sdk.options.decoding_words import DECODING_WORDS

OF_LOADING: Final = (
    "dtype",
    "device",
    "quantization",
    "placement",
    "max_memory",
    "runner",
    "adapter",
    "revision",
    "token",
    "cache_dir",
    "local_files_only",
    "plugins",
)
"""Our own arguments of loading; `prefix_cache` has an answer of its own."""

_AT_LOADING: Final = "it is chosen where the model is loaded"

CALL_WORDS: Final = (
    *(each for rows in DECODING_WORDS.values() for each in rows),
    row(
        "max_batch_size max_num_seqs n_batch",
        "batch_size",
        "batch_size is the number of rows at a time",
    ),
    # Prompts.
    row(
        "pad_token_id pad_token padding padding_side attention_mask position_ids token_type_ids",
        "",
        "it is not needed: rows of any lengths run together without padding",
    ),
    row(
        "input_ids inputs prompts prompt_token_ids text text_inputs prompt_ids",
        "",
        "the prompt is the first argument: a text, a list of token ids, or a list of such",
    ),
    missing("inputs_embeds prompt_embeds", "prompt of embeddings", "", "prompts are text or ids"),
    row(
        "bos_token_id add_bos_token add_special_tokens",
        "",
        "the tokenizer says whether a bos token stands before a text; prompts of ids are as given",
    ),
    row(
        "truncation truncate truncate_prompt_tokens truncation_length truncation_side "
        "handle_long_generation n_keep n_discard max_prompt_length",
        "overflow",
        'a prompt is never cut: overflow="slide" lets a text that fits grow out of the window',
    ),
    row(
        "messages conversation tools documents chat_template chat_template_kwargs "
        "add_generation_prompt continue_final_message apply_chat_template",
        "",
        "gen.chat(messages) answers a chat, and gen.chat_prompt(messages) is its prompt",
    ),
    row(
        "system role enable_thinking",
        "",
        'gen.chat takes messages with roles, a first one of the role "system" too, and '
        "chat_template_kwargs={…} for what else the template reads",
    ),
    missing(
        "tool_choice",
        "choice of tools",
        "",
        "gen.chat(messages, tools=[…]) lets the template tell of them",
    ),
    missing("suffix", "filling in between", "", "prompts are continued at their end"),
    row(
        "prefix context",
        "",
        "the prompt is all that a text goes on from: put it there",
    ),
    row(
        "tokenizer processor assistant_tokenizer detokenize return_tensors",
        "",
        "the generator has its tokenizer, and a completion has both text and tokens",
    ),
    # What comes out.
    row(
        "output_scores output_logits top_logprobs n_probs details return_logprobs "
        "post_sampling_probs num_logprobs",
        "logprobs",
        "logprobs=n records each token's log-probability, by the model and as it was drawn, and "
        "the n likeliest tokens of its step; 0 only the token's own",
    ),
    row(
        "prompt_logprobs decoder_input_details top_n_tokens prompt_scores",
        "",
        "Generator.score gives every token's log-probability in a text",
    ),
    row(
        "return_dict_in_generate return_dict output_kind flat_logprobs return_tokens return_text "
        "response_fields with_pieces",
        "",
        "the result is always whole: .text, .texts, .completions, .usage and .options",
    ),
    row(
        "return_full_text echo",
        "",
        "a completion is the continuation alone: put the prompt before it",
    ),
    row(
        "skip_special_tokens spaces_between_special_tokens clean_up_tokenization_spaces "
        "remove_special_tokens",
        "",
        "a completion's text is without its end token and else as it was generated; "
        "gen.tokenizer.decode(completion.tokens) shows all",
    ),
    row(
        "output_hidden_states output_attentions capture",
        "",
        "gen.model.capture looks inside the model",
    ),
    row(
        "streamer stream stream_options callback",
        "",
        "Generator.stream yields text as it becomes certain",
    ),
    # How it runs.
    row(
        "logits_processor logits_processors logits_warper",
        "processors",
        "processors=[…] takes components and callables, those of transformers as well",
    ),
    row(
        "stopping_criteria",
        "stopping",
        "stopping=[…] takes components and callables, those of transformers as well",
    ),
    row(
        "generation_config sampling_params use_model_defaults params options extra_args",
        "",
        "options are written one by one, or as a dictionary: gen.generate(prompt, **options); "
        "config takes them from a JSON file or from a result's record",
    ),
    row(
        "use_cache cache_implementation cache_config past_key_values max_cache_len "
        "static_cache keep_alive id_slot prefill_chunk_size",
        "",
        "there is nothing to set: a call always has a cache, which grows as rows do",
    ),
    row(
        "cache_prompt skip_reading_prefix_cache prefix_cache prompt_cache cache_salt",
        "",
        "calls with engine=gen.engine() go on from prompts that were read before, and those with "
        "gen.engine(prefix_cache=False) do not; from_pretrained(prefix_cache=…) says how much is "
        "kept, and lets single calls do so",
    ),
    row(
        "compile_config disable_compile synced_gpus custom_generate trust_remote_code "
        "continuous_batching_config num_threads n_threads num_workers",
        "",
        "there is nothing to set: a call runs the model as it was loaded",
    ),
    row(
        "priority user metadata best_effort request_id session_id store",
        "",
        "it is for servers, and means nothing here",
    ),
    row(
        "model torch_dtype load_in_8bit load_in_4bit n_ctx num_ctx max_model_len n_gpu_layers "
        f"lora {' '.join(OF_LOADING)}",
        "",
        _AT_LOADING,
    ),
)
"""All of them."""

CALLS_ELSEWHERE: Final = by_name(CALL_WORDS)
"""Each of them by name."""


def of_loading(name: str) -> str:
    """Say where what loading takes is given; empty for everything else.

    >>> of_loading("runner"), of_loading("top_p")
    ('it is chosen where the model is loaded, with runner=', '')
    """
    return f"{_AT_LOADING}, with {argument(name)}" if name in OF_LOADING else ""
