"""A folder's model as `model.gguf` in F32, without a vocabulary, for llama.cpp."""

from pathlib import Path

import gguf
import numpy as np
from plain_safetensors import Weights, config_of

NAMES = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def write_gguf(folder: Path) -> None:
    """Write it beside the model."""
    config, weights = config_of(str(folder)), Weights(str(folder))
    writer = gguf.GGUFWriter(folder / "model.gguf", "gpt2")
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config["vocab_size"])
    for key in weights:
        name = key.removeprefix("transformer.")
        tensor = weights[key]
        if ".attn.c_" in name or ".mlp.c_" in name:
            tensor = tensor.T
        writer.add_tensor(their_name(name), np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def their_name(name: str) -> str:
    """Return what llama.cpp calls a parameter.

    >>> their_name("h.3.attn.c_attn.weight"), their_name("wte.weight")
    ('blk.3.attn_qkv.weight', 'token_embd.weight')
    """
    module, _, kind = name.rpartition(".")
    if module.startswith("h."):
        _, layer, rest = module.split(".", 2)
        return f"blk.{layer}.{NAMES[rest]}.{kind}"
    return f"{NAMES[module]}.{kind}"
