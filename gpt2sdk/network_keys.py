"""Which keys of a `config.json` make another network than GPT-2, and which change nothing.

Every key is one of four kinds: a field of `GPT2Config`, one that says nothing here, one that makes
another network unless it has a neutral value, or one that nobody knows, which is noted.
"""

from collections.abc import Iterator, Mapping

_OFF = (False, 0)
_ONE = (1,)

# Each with the values under which the network is GPT-2's; null is one of them.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    # Positions: BLOOM's and JAIS's biases, rotations of GPT-J and flash-attn.
    "position_embedding_type": ("absolute", "learned", "learned_absolute"),
    "alibi": _OFF,
    "use_alibi": _OFF,
    "alibi_scaling": (),
    "rotary": _OFF,
    "rotary_dim": _OFF,
    "rotary_pct": _OFF,
    "rotary_emb_fraction": _OFF,
    "rope_theta": (),
    "rope_scaling": (),
    "rope_parameters": (),
    # Scalings: µP as in BTLM and JAIS, and Granite's multipliers.
    "embeddings_scale": _ONE,
    "width_scale": _ONE,
    "scale_qk_dot_by_d": _OFF,
    "embedding_multiplier": _ONE,
    "residual_multiplier": _ONE,
    "attention_multiplier": (),
    "logits_scaling": _ONE,
    "logit_scale": _ONE,
    "attn_logit_softcapping": (),
    "final_logit_softcapping": (),
    # Attention: StarCoder's shared keys, windows, encoders.
    "multi_query": _OFF,
    "attention_head_type": ("multihead",),
    "num_key_value_heads": (),
    "n_head_kv": (),
    "sliding_window": (),
    "window_size": (),
    "attention_types": (),
    "attention_layers": (),
    "add_cross_attention": _OFF,
    "is_encoder_decoder": _OFF,
    "pruned_heads": ({},),
    # Order and kind of layers: BLOOM, OPT, GPT-J, flash-attn.
    "apply_residual_connection_post_layernorm": _OFF,
    "do_layer_norm_before": (True,),
    "prenorm": (True,),
    "parallel_block": _OFF,
    "parallel_residual": _OFF,
    "use_parallel_residual": _OFF,
    "use_rms_norm": _OFF,
    "rms_norm": _OFF,
    "qk_norm": _OFF,
    "qk_layernorm": _OFF,
}
_NEUTRAL_MUP: Mapping[str, tuple[object, ...]] = {
    "mup_scale_qk_dot_by_d": _OFF,
    "mup_use_scaling": _OFF,
}
# As many as `n_head` is what GPT-2 has.
_HEADS = frozenset({"num_key_value_heads", "n_head_kv"})

_HARMLESS = frozenset(
    {
        # Written by every transformers version since 2019, and about other programs.
        *("_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal"),
        *("_commit_hash", "_name_or_path", "attn_implementation", "chunk_size_feed_forward"),
        *("custom_pipelines", "finetuning_task", "gradient_checkpointing", "is_decoder"),
        *("label2id", "id2label", "num_labels", "problem_type", "name_or_path", "n_special"),
        *("output_attentions", "output_hidden_states", "output_past", "predict_special_tokens"),
        *("return_dict", "use_return_dict", "tie_encoder_decoder", "cross_attention_hidden_size"),
        *("tf_legacy_loss", "tokenizer_class", "torchscript", "transformers_version"),
        *("_experts_implementation", "unsloth_fixed", "unsloth_version", "use_bfloat16"),
        *("use_flash_attn", "fused_bias_fc", "fused_dropout_add_ln", "fused_mlp"),
        # Heads beside the language model's, which are not loaded.
        *("summary_activation", "summary_first_dropout", "summary_proj_to_labels"),
        *("summary_type", "summary_use_proj", "classifier_dropout"),
        # StarCoder's precision, which reorder_and_upcast_attn is GPT-2's word for.
        *("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32"),
        # Defaults of generation, which are never taken from a checkpoint.
        *("bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample"),
        *("early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty"),
        *("forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length"),
        *("max_new_tokens", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams"),
        *("num_return_sequences", "output_scores", "prefix", "remove_invalid_values"),
        *("repetition_penalty", "return_dict_in_generate", "suppress_tokens", "temperature"),
        *("task_specific_params", "top_k", "top_p", "typical_p"),
        # Tokens that GPT-2 has no use for, and how its weights are quantized, which is read apart.
        *("decoder_start_token_id", "sep_token_id", "unk_token_id", "quantization_config"),
    }
)
_CODE = "auto_map"
_SIZES = frozenset({"n_embd", "n_layer"})

MODEL_TYPES = ("gpt2", "gpt-sw3", "gpt_sw3")
"""What `model_type` says of the network; files of 2019 do not have it."""


def is_gpt2(values: Mapping[str, object]) -> bool:
    """Whether a config calls itself one of a GPT-2.

    >>> is_gpt2({"model_type": "gpt2"}), is_gpt2({"n_embd": 8}), is_gpt2({"model_type": "llama"})
    (True, True, False)
    """
    kind = values.get("model_type")
    return kind in MODEL_TYPES if kind is not None else not _SIZES.isdisjoint(values)


def other_networks(values: Mapping[str, object]) -> Iterator[str]:
    """Say what in a config makes another network than GPT-2.

    Args:
        values: The keys and values of a `config.json`.

    >>> list(other_networks({"n_embd": 8, "multi_query": True, "alibi": False}))
    ['multi_query=True: expected False, as in GPT-2; what it stands for is another network']
    """
    kind = values.get("model_type")
    if kind is None and not is_gpt2(values):
        yield "expected model_type='gpt2' or the sizes of a GPT-2 (n_embd, n_layer), found neither"
    if kind is not None and not is_gpt2(values):
        yield f"model_type={kind!r}: expected 'gpt2' (or 'gpt-sw3', which is the same network)"
    for key, value in values.items():
        neutral = _neutral(key)
        if neutral is None or value is None or value in neutral:
            continue
        if key in _HEADS and value == values.get("n_head", values.get("num_attention_heads")):
            continue
        expected = repr(neutral[0]) if neutral else "null"
        yield (
            f"{key}={value!r}: expected {expected}, as in GPT-2; what it stands for is another "
            "network"
        )


def unknown_keys(values: Mapping[str, object]) -> Iterator[str]:
    """Return the keys of which it is not known whether they change the network."""
    for key in values:
        if key not in _HARMLESS and key != _CODE and _neutral(key) is None:
            yield key


def foreign_code(values: Mapping[str, object]) -> str:
    """Return what a config says of code that comes with the checkpoint; "" if nothing.

    >>> foreign_code({"auto_map": {"AutoModelForCausalLM": "modeling.Mine"}})
    'AutoModelForCausalLM: modeling.Mine'
    """
    found = values.get(_CODE)
    if isinstance(found, Mapping):
        return ", ".join(f"{name}: {where}" for name, where in found.items())
    return str(found) if found else ""


def _neutral(key: str) -> tuple[object, ...] | None:
    """Return the values under which a key changes nothing; `None` if it is none of these keys."""
    if key.startswith("mup_"):
        return _NEUTRAL_MUP.get(key, _ONE)
    return _NEUTRAL.get(key)
