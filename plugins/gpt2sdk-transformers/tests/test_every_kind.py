"""Every kind of model that is offered has transformers' logits, in a tiny random form."""

import inspect
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from gpt2sdk import Generator
from gpt2sdk.gpt2 import Cache
from gpt2sdk.testing import tiny_tokenizer
from gpt2sdk_transformers.model import TransformersLM
from gpt2sdk_transformers.network import make_network
from gpt2sdk_transformers.offered import OFFERED, RECURRENT
from gpt2sdk_transformers.recurrent_cache import PAGES, RecurrentCache

# Whatever of these a config knows. The window is shorter than the longest row.
_SIZES: Mapping[str, object] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_experts_per_tok"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "qk_rope_head_dim", "rotary_dim"), 4),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("head_dim", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim"), 8),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts"), 1),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 64),
    "vocab_size": 280,
    "num_key_value_heads": 2,
    "v_head_dim": 6,
    "sliding_window": 5,
    "query_pre_attn_scalar": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
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
_ZAMBA = {
    "layer_types": ["linear_attention", "hybrid"] * 2,
    "num_hidden_layers": 4,
    "mamba_d_state": 4,
    "n_mamba_heads": 8,
}
_BETWEEN = {
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "num_hidden_layers": 3,
}
_CONVS = {"layer_types": ["conv", "full_attention", "conv"], "num_hidden_layers": 3}
# What recurrent layers have sizes of.
_STATES: Mapping[str, Mapping[str, object]] = {
    "bamba": {**_MAMBA2, "attn_layer_indices": [1], "num_hidden_layers": 3},
    "falcon_h1": {**_MAMBA2, "mamba_d_ssm": 64},
    "falcon_mamba": {"state_size": 4, "time_step_rank": 4},
    "granitemoehybrid": {**_MAMBA2, **_BETWEEN, "position_embedding_type": "rope"},
    "jamba": {
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
    },
    "lara_mini": _DELTA,
    "lfm2": _CONVS,
    "lfm2_moe": {**_CONVS, "num_dense_layers": 1},
    "mamba": {"state_size": 4, "time_step_rank": 4},
    "mamba2": {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 4},
    "nemotron_h": {
        "layer_types": ["linear_attention", "full_attention", "mlp", "moe"],
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "ssm_state_size": 4,
        "n_groups": 2,
        "chunk_size": 4,
    },
    "olmo_hybrid": {**_DELTA, "linear_num_key_heads": 4},
    "qwen3_5_moe_text": _DELTA,
    "qwen3_5_text": _DELTA,
    "qwen3_next": _DELTA,
    "recurrent_gemma": {"lru_width": 32, "num_hidden_layers": 3, "attention_window_size": 5},
    "zamba": {**_ZAMBA, "n_mamba_heads": 2, "mamba_dt_rank": 4},
    "zamba2": {
        **_ZAMBA,
        "hybrid_layer_ids": [1, 3],
        "mamba_headdim": 8,
        "mamba_ngroups": 1,
        "chunk_size": 4,
    },
    "zaya": {"num_experts_per_tok": 1},
}


def tiny_config(kind: str) -> PretrainedConfig:
    """Return a config with every kind of layer that its default has."""
    made = CONFIG_MAPPING[kind]
    fields = getattr(made, "__dataclass_fields__", None) or inspect.signature(made).parameters
    names = {*fields, *made.attribute_map}
    sizes = {name: size for name, size in _SIZES.items() if name in names}
    if "kv_lora_rank" in names:
        sizes["num_key_value_heads"] = 4
        sizes.pop("head_dim", None)
    # Some say which layers they have in other words alone.
    own = getattr(made, made.attribute_map.get("layer_types", "layer_types"), None)
    if "layer_types" in names and not isinstance(own, property):
        kinds = list(dict.fromkeys(getattr(made(), "layer_types", None) or ()))
        if kinds:
            sizes["layer_types"] = (kinds * 2)[: max(2, len(kinds))]
            sizes["num_hidden_layers"] = len(sizes["layer_types"])
    return made(**{**sizes, **_STATES.get(kind, {})})


def network_of(config: PretrainedConfig) -> PreTrainedModel:
    """Return transformers' network, with weights that tell layers apart."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) * (0.15 if parameter.ndim > 1 else 0.1)
    return network


def with_weights_of(network: nn.Module, other: nn.Module) -> None:
    """Fill a network without numbers."""
    tensors = other.state_dict()
    empty = [name for name, each in network.named_parameters() if each.is_meta]
    empty += [name for name, each in network.named_buffers() if each.is_meta]
    for name in empty:
        module, _, leaf = name.rpartition(".")
        value = nn.Parameter(tensors[name].clone(), requires_grad=False)
        setattr(network.get_submodule(module), leaf, value)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(OFFERED))
@pytest.mark.filterwarnings("ignore")
def test_rows_have_the_logits_of_transformers(model_type: str) -> None:
    config = tiny_config(model_type)
    reference = network_of(config)
    with torch.device("meta"):
        network = make_network(type(config).from_dict(config.to_dict()), torch.float32)
    with_weights_of(network, reference)
    model = TransformersLM(network, context_length=64).eval()
    rows = [
        [(7 * place + 3 * row + 5) % 60 + 3 for place in range(n)] for row, n in enumerate((19, 6))
    ]
    cache = model.make_cache(2)
    parts: list[list[torch.Tensor]] = [[], []]
    for start, stop in ((0, 4), (4, 9), (9, 10), (10, 99)):
        fed = [row[start:stop] for row in rows]
        counts = [len(each) for each in fed]
        logits = model.score(cache, fed, counts).logits.split(counts)
        for row, part in enumerate(logits):
            parts[row].append(part)
    for row, found in zip(rows, parts, strict=True):
        with torch.no_grad():
            wanted = reference(input_ids=torch.tensor([row]), use_cache=False).logits[0]
        assert float((torch.cat(found) - wanted).abs().max() / wanted.std()) < 1e-3
    scores = model.score(model.make_cache(1), rows[:1], [19], hidden_states=[model.layers])
    again = model.unembed(model.final_norm(scores.hidden_states[model.layers]))
    assert torch.allclose(again, scores.logits, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(OFFERED))
@pytest.mark.filterwarnings("ignore")
def test_folders_load_with_the_logits_of_transformers_and_plans_are_what_caches_take(
    model_type: str, tmp_path: Path
) -> None:
    network = network_of(tiny_config(model_type))
    network.save_pretrained(tmp_path)
    tiny_tokenizer().save(tmp_path)
    gen = Generator.from_pretrained(tmp_path)
    ids = [5, 6, 7, 8, 9, 10, 11, 12]
    cache = gen.model.make_cache(1)
    found = gen.model.score(cache, [ids], [8]).logits
    with torch.no_grad():
        wanted = network(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    assert float((found - wanted).abs().max() / wanted.std()) < 2e-3

    keys = cache.keys if isinstance(cache, RecurrentCache) else cache
    assert isinstance(keys, Cache)
    cpu, parts = torch.device("cpu"), gen.architecture.parts()
    assert isinstance(gen.model, TransformersLM)
    for part in parts:
        layer = gen.model.layer_of(part)
        taken = 0 if layer is None else keys.read(layer, 0, 1, 8).nbytes // 8
        assert gen.architecture.cache_nbytes(part, torch.float32, cpu) == taken
    states = cache.pages.page_nbytes if isinstance(cache, RecurrentCache) else 0
    planned = sum(gen.architecture.row_nbytes(part, torch.float32, cpu) for part in parts)
    assert planned == PAGES * states


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(RECURRENT))
@pytest.mark.filterwarnings("ignore")
def test_folders_of_recurrent_models_write_what_transformers_writes(
    model_type: str, tmp_path: Path
) -> None:
    network = network_of(tiny_config(model_type))
    network.save_pretrained(tmp_path)
    tiny_tokenizer().save(tmp_path)
    gen = Generator.from_pretrained(tmp_path)
    prompts = [[3, 4, 5, 6, 7, 8], [9], [20, 21, 22]]
    made = gen.generate(prompts, strategy="greedy", max_new_tokens=10, eos_token_id=None)
    for prompt, completion in zip(prompts, made.completions, strict=True):
        rows = torch.tensor([prompt])
        theirs = network.generate(
            rows,
            attention_mask=torch.ones_like(rows),
            do_sample=False,
            max_new_tokens=10,
            eos_token_id=None,
            pad_token_id=0,
            # Its modules remember the text before, which a prompt of one token goes on from.
            use_cache=model_type != "recurrent_gemma",
        )
        assert theirs[0, len(prompt) :].tolist() == list(completion.tokens)
    gen.save_pretrained(tmp_path / "again")
    again = Generator.from_pretrained(tmp_path / "again")
    assert again.score("the pond").logprobs == gen.score("the pond").logprobs


@pytest.mark.parametrize("model_type", ["zamba", "zamba2"])
@pytest.mark.filterwarnings("ignore")
def test_layers_that_share_weights_may_each_be_stored(model_type: str, tmp_path: Path) -> None:
    network = network_of(tiny_config(model_type))
    network.save_pretrained(tmp_path)
    tiny_tokenizer().save(tmp_path)
    gen = Generator.from_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    every = {name: each.clone() for name, each in network.state_dict().items()}
    assert stored.keys() < every.keys()
    save_file(every, tmp_path / "model.safetensors", {"format": "pt"})
    again = Generator.from_pretrained(tmp_path)
    assert again.score("the pond").logprobs == gen.score("the pond").logprobs
