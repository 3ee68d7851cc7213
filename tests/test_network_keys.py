"""Every key of a config is a field, says nothing, is refused, or is noted."""

import json

import pytest

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import CheckpointError
from gpt2sdk.network_keys import foreign_code, other_networks, unknown_keys

GPT2 = {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1}

OTHERS = {
    "position_embedding_type": ("alibi", "'absolute'"),
    "alibi": (True, "False"),
    "rotary_dim": (32, "False"),
    "rotary_emb_fraction": (0.5, "False"),
    "rope_scaling": ({"type": "linear"}, "null"),
    "mup_width_scale": (0.25, "1"),
    "mup_embeddings_scale": (9.1, "1"),
    "mup_output_alpha": (2.2, "1"),
    "mup_scale_qk_dot_by_d": (True, "False"),
    "width_scale": (0.5, "1"),
    "logits_scaling": (8.0, "1"),
    "final_logit_softcapping": (30.0, "null"),
    "multi_query": (True, "False"),
    "attention_head_type": ("multiquery", "'multihead'"),
    "num_key_value_heads": (1, "null"),
    "sliding_window": (256, "null"),
    "add_cross_attention": (True, "False"),
    "is_encoder_decoder": (True, "False"),
    "pruned_heads": ({"0": [1]}, "{}"),
    "apply_residual_connection_post_layernorm": (True, "False"),
    "do_layer_norm_before": (False, "True"),
    "use_rms_norm": (True, "False"),
    "parallel_block": (True, "False"),
}
NEUTRAL = {
    "position_embedding_type": "learned",
    "alibi": False,
    "rotary_dim": None,
    "rotary_emb_fraction": 0.0,
    "rope_scaling": None,
    "mup_width_scale": 1.0,
    "mup_embeddings_scale": 1.0,
    "mup_output_alpha": 1,
    "mup_scale_qk_dot_by_d": False,
    "width_scale": 1.0,
    "logits_scaling": 1.0,
    "final_logit_softcapping": None,
    "multi_query": False,
    "attention_head_type": "multihead",
    "num_key_value_heads": 2,
    "sliding_window": None,
    "add_cross_attention": False,
    "is_encoder_decoder": False,
    "pruned_heads": {},
    "apply_residual_connection_post_layernorm": False,
    "do_layer_norm_before": True,
    "use_rms_norm": False,
    "parallel_block": False,
}


@pytest.mark.parametrize("key", OTHERS)
def test_a_key_of_another_network_is_refused_with_its_value(key):
    value, expected = OTHERS[key]

    with pytest.raises(CheckpointError) as error:
        GPT2Config.from_dict(GPT2 | {key: value}, path="config.json")

    assert (
        f"config.json: {key}={value!r}: expected {expected}, as in GPT-2; what it stands for is "
        "another network"
    ) == str(error.value)


@pytest.mark.parametrize("key", NEUTRAL)
def test_a_key_of_another_network_may_say_what_gpt2_is(key):
    config = GPT2Config.from_dict(GPT2 | {key: NEUTRAL[key]})

    assert {key: NEUTRAL[key]} == config.extra
    assert [] == list(unknown_keys(config.extra))


@pytest.mark.parametrize(
    "values",
    [
        # BTLM and JAIS under GPT-2's name, StarCoder, flash-attn's GPT.
        {"position_embedding_type": "alibi", "mup_width_scale": 0.1, "mup_output_alpha": 2.0},
        {"multi_query": True, "attention_softmax_in_fp32": True},
        {"rotary_emb_fraction": 1.0, "activation_function": "gelu"},
    ],
)
def test_derivatives_are_refused(values):
    with pytest.raises(CheckpointError, match="what it stands for is another network"):
        GPT2Config.from_dict(GPT2 | values)


def test_cerebras_gpt_is_gpt2():
    # As it lies on the hub: µP's scalings are part of the weights there.
    values = GPT2 | {
        "activation_function": "gelu",
        "attn_pdrop": 0.0,
        "scale_attn_weights": True,
        "architectures": ["GPT2LMHeadModel"],
        "n_inner": 32,
    }

    assert {} == GPT2Config.from_dict(values).extra


def test_every_key_that_transformers_writes_is_known():
    transformers = pytest.importorskip("transformers")
    written = transformers.GPT2Config(num_labels=3, torch_dtype="float32").to_dict()
    extra = GPT2Config.from_dict(json.loads(json.dumps(written))).extra

    assert "summary_type" in extra
    assert [] == list(unknown_keys(extra))
    assert [] == list(other_networks(written))


def test_every_key_that_transformers_wrote_before_generation_configs_is_known():
    # PretrainedConfig.to_dict of 4.20, less what it shares with the fields.
    old = {
        "return_dict": True,
        "output_hidden_states": False,
        "output_attentions": False,
        "torchscript": False,
        "use_bfloat16": False,
        "pruned_heads": {},
        "is_encoder_decoder": False,
        "is_decoder": False,
        "cross_attention_hidden_size": None,
        "add_cross_attention": False,
        "tie_encoder_decoder": False,
        "max_length": 20,
        "min_length": 0,
        "do_sample": False,
        "early_stopping": False,
        "num_beams": 1,
        "num_beam_groups": 1,
        "diversity_penalty": 0.0,
        "temperature": 1.0,
        "top_k": 50,
        "top_p": 1.0,
        "typical_p": 1.0,
        "repetition_penalty": 1.0,
        "length_penalty": 1.0,
        "no_repeat_ngram_size": 0,
        "encoder_no_repeat_ngram_size": 0,
        "bad_words_ids": None,
        "num_return_sequences": 1,
        "chunk_size_feed_forward": 0,
        "output_scores": False,
        "return_dict_in_generate": False,
        "forced_bos_token_id": None,
        "forced_eos_token_id": None,
        "remove_invalid_values": False,
        "exponential_decay_length_penalty": None,
        "finetuning_task": None,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "tokenizer_class": None,
        "prefix": None,
        "sep_token_id": None,
        "decoder_start_token_id": None,
        "task_specific_params": None,
        "problem_type": None,
        "_name_or_path": "",
        "transformers_version": "4.20.0",
        "summary_type": "cls_index",
    }

    assert [] == list(unknown_keys(GPT2Config.from_dict(GPT2 | old).extra))


def test_keys_that_nobody_knows_are_found():
    assert ["my_key", "layer_norm_eps"] == list(
        unknown_keys({"my_key": 1, "top_k": 50, "layer_norm_eps": 1e-6, "auto_map": {}})
    )


def test_code_is_named():
    assert "" == foreign_code({})
    assert "AutoConfig: a.B, AutoModelForCausalLM: a.C" == foreign_code(
        {"auto_map": {"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}}
    )
