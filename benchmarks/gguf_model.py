"""A folder's model as `model.gguf` in F32, for llama.cpp."""

import json
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


def write_gguf(folder: Path, *, vocabulary: bool = False) -> None:
    """Write it beside the model.

    Args:
        folder: The model's.
        vocabulary: Whether its byte-level vocabulary is written, too: a server needs it.
    """
    config, weights = config_of(str(folder)), Weights(str(folder))
    writer = gguf.GGUFWriter(folder / "model.gguf", "gpt2")
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_vocab_size(config["vocab_size"])
    if vocabulary:
        _add_vocabulary(writer, folder, config["eos_token_id"])
    else:
        writer.add_tokenizer_model("no_vocab")
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


def _add_vocabulary(writer: gguf.GGUFWriter, folder: Path, end: int) -> None:
    """Add tokens and merges of a `tokenizer.json`."""
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    found = document["model"]
    vocab = found["vocab"] | {each["content"]: each["id"] for each in document["added_tokens"]}
    tokens = sorted(vocab, key=vocab.__getitem__)
    control = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([control[vocab[token] != end] for token in tokens])
    merges = found["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)  # noqa: FBT003 - it has no names


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
