"""Tiny networks of many kinds with random weights, as folders that transformers wrote."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging

from gpt2sdk import Generator
from gpt2sdk.testing import tiny_tokenizer

TOKENS, END = 280, 277
WINDOW = 5
"""Of those that slide: shorter than the texts."""

_SIZES = {
    "vocab_size": TOKENS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": END,
    "eos_token_id": END,
}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
_SLIDING = {"sliding_window": WINDOW}
_BOTH = {**_SLIDING, "layer_types": ["sliding_attention", "full_attention"]}
_LATENT = {
    "num_key_value_heads": 4,
    "head_dim": 4,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}

_DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_MAMBA2 = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 4,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 4,
}

KINDS: Mapping[str, Mapping[str, object]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": _SLIDING,
    "gemma": {},
    "gemma2": {**_BOTH, "query_pre_attn_scalar": 8},
    "gemma3_text": {**_BOTH, "query_pre_attn_scalar": 8},
    "phi": {},
    "phi3": {},
    "gpt_neox": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "mixtral": _EXPERTS,
    "qwen2_moe": {**_EXPERTS, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16},
    "olmo2": {},
    "stablelm": {},
    "cohere": {},
    "granite": {"logits_scaling": 3.0, "residual_multiplier": 0.7},
    "starcoder2": {},
    "gpt_oss": {**_BOTH, **_EXPERTS},
    "deepseek_v3": _LATENT,
    "smollm3": {},
    "mamba": {"state_size": 4, "time_step_rank": 4},
    "mamba2": {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 4},
    "recurrent_gemma": {"lru_width": 32, "num_hidden_layers": 3, "attention_window_size": WINDOW},
    "jamba": {
        **_EXPERTS,
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
    },
    "lfm2": {
        "layer_types": ["conv", "full_attention", "conv"],
        "num_hidden_layers": 3,
        "conv_L_cache": 3,
    },
    "qwen3_next": {
        **_DELTA,
        **_EXPERTS,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "falcon_h1": {**_MAMBA2, "mamba_d_ssm": 64},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "rotary_dim": 4},
}


def make_network(kind: str, seed: int = 0) -> PreTrainedModel:
    """Return a network whose weights are large enough that logits differ by some nats."""
    made = CONFIG_MAPPING[kind]
    names = {*made.__dataclass_fields__, *made.attribute_map}
    sizes = {name: size for name, size in _SIZES.items() if name in names}
    config = AutoConfig.for_model(kind, **{**sizes, **KINDS[kind]})
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.25)
        else:
            parameter.data += torch.randn_like(parameter) / 10
    return network


def save_network(network: PreTrainedModel, folder: Path) -> Path:
    """Write a network with `tiny_tokenizer` beside it."""
    network.generation_config.eos_token_id = END
    network.save_pretrained(folder)
    tiny_tokenizer().save(folder)
    return folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test that takes a `kind` run with each."""
    marked = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "kind" in metafunc.fixturenames and not any("kind" in names for names in marked):
        metafunc.parametrize("kind", KINDS)


Tiny = tuple[Generator, PreTrainedModel]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    """Return what makes a generator of a kind of network, and transformers' network."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()

    @cache
    def made(kind: str) -> Tiny:
        network = make_network(kind)
        folder: Path = save_network(network, tmp_path_factory.mktemp("networks") / kind)
        return Generator.from_pretrained(folder), network

    return made
