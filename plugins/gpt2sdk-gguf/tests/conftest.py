"""GGUF files of small models, written as llama.cpp's converter writes them."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from tokenizers import Tokenizer

from gpt2sdk import GPT2Config
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.testing import tiny_tokenizer

NAMES = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "lm_head": "output",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
MATRICES = ("c_attn.weight", "c_proj.weight", "c_fc.weight", "wte.weight", "lm_head.weight")


def their_name(name):
    module, _, kind = name.rpartition(".")
    if module.startswith("h."):
        _, layer, rest = module.split(".", 2)
        return f"blk.{layer}.{NAMES[rest]}.{kind}"
    return f"{NAMES[module]}.{kind}"


def pack_q4_k(weights):
    """Quantize rows to Q4_K; return the blocks' bytes and the numbers they stand for."""
    blocks = weights.astype(np.float32).reshape(-1, 8, 32)
    low = np.minimum(blocks.min(-1), 0.0)
    step = (blocks.max(-1) - low) / 15
    d = np.float16(step.max(-1) / 63)
    dmin = np.float16((-low).max(-1) / 63)
    scale = np.rint(step / d.astype(np.float32)[:, None]).clip(0, 63).astype(np.uint8)
    least = np.rint(-low / dmin.astype(np.float32)[:, None]).clip(0, 63).astype(np.uint8)
    steps = (d.astype(np.float32)[:, None] * scale)[..., None]
    lows = (dmin.astype(np.float32)[:, None] * least)[..., None]
    q = np.rint((blocks + lows) / np.where(steps == 0, 1, steps)).clip(0, 15).astype(np.uint8)
    packed = np.concatenate(
        [
            scale[:, :4] | (scale[:, 4:] >> 4 << 6),
            least[:, :4] | (least[:, 4:] >> 4 << 6),
            (scale[:, 4:] & 15) | ((least[:, 4:] & 15) << 4),
        ],
        axis=1,
    )
    halves = q[:, 0::2] | (q[:, 1::2] << 4)
    parts = [d[:, None].view(np.uint8), dmin[:, None].view(np.uint8), packed]
    data = np.concatenate([*parts, halves.reshape(len(q), -1)], axis=1)
    return data.reshape(len(weights), -1), (steps * q - lows).reshape(weights.shape)


def pack_q6_k(weights):
    """Quantize rows to Q6_K; return the blocks' bytes and the numbers they stand for."""
    blocks = weights.astype(np.float32).reshape(-1, 16, 16)
    step = np.abs(blocks).max(-1) / 31
    d = np.float16(step.max(-1) / 127)
    scale = np.rint(step / d.astype(np.float32)[:, None]).clip(-128, 127).astype(np.int8)
    steps = (d.astype(np.float32)[:, None] * scale)[..., None]
    q = np.rint(blocks / np.where(steps == 0, 1, steps)).clip(-32, 31)
    values = (steps * q).reshape(weights.shape)
    # Halves of 128 numbers; of each, four runs of 32.
    codes = (q + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low, high = codes & 15, codes >> 4
    ql = np.concatenate([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], -1)
    qh = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    data = np.concatenate(
        [
            ql.reshape(len(q), -1),
            qh.reshape(len(q), -1),
            scale.view(np.uint8),
            d[:, None].view(np.uint8),
        ],
        axis=1,
    )
    return data.reshape(len(weights), -1), values


def pack(weights, kind):
    """Return a matrix's bytes and the numbers they stand for."""
    if kind == Kind.Q4_K:
        return pack_q4_k(weights)
    if kind == Kind.Q6_K:
        return pack_q6_k(weights)
    data = gguf.quants.quantize(weights, kind)
    return data, gguf.quants.dequantize(data, kind).reshape(weights.shape)


def write(
    path,
    model,
    config,
    tokenizer,
    kind=Kind.F32,
    *,
    head_kind=None,
    architecture="gpt2",
    change=lambda writer: None,
    with_tokenizer=True,
):
    """Write a model; return the weights that stand in the file, by their names in the model."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.inner_size)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    if with_tokenizer:
        add_tokenizer(writer, tokenizer, config)
    change(writer)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    if head_kind is not None:
        state["lm_head.weight"] = state["wte.weight"]
    written = {}
    for name, weights in state.items():
        kind_here = head_kind if name == "lm_head.weight" else kind
        if name.endswith(MATRICES) and kind_here != Kind.F32:
            data, values = pack(weights, kind_here)
            raw = None if kind_here in (Kind.F16, Kind.F32) else kind_here
            writer.add_tensor(their_name(name), np.ascontiguousarray(data), raw_dtype=raw)
            written[name] = torch.from_numpy(np.array(values, dtype=np.float32))
        else:
            writer.add_tensor(their_name(name), weights)
            written[name] = torch.from_numpy(weights.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written


def add_tokenizer(writer, tokenizer, config):
    with TemporaryDirectory() as folder:
        tokenizer.save(folder)
        saved = Path(folder, "tokenizer.json").read_text(encoding="utf-8")
    library = Tokenizer.from_str(saved)
    tokens = [library.id_to_token(token) for token in range(library.get_vocab_size())]
    added = library.get_added_tokens_decoder()
    kinds = [
        gguf.TokenType.CONTROL if token in added else gguf.TokenType.NORMAL
        for token in range(len(tokens))
    ]
    for number in range(len(tokens), config.vocab_size):
        tokens.append(f"[PAD{number}]")
        kinds.append(gguf.TokenType.UNUSED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = [" ".join(pair) for pair in json.loads(saved)["model"]["merges"]]
    writer.add_token_merges(merges)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)


@pytest.fixture(scope="session")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def small(tokenizer):
    """A model whose rows are as long as the blocks of llama.cpp's K types: 256."""
    end = tokenizer.vocab_size - 1
    config = GPT2Config(
        vocab_size=tokenizer.vocab_size + 3,
        n_positions=64,
        n_embd=256,
        n_layer=2,
        n_head=4,
        initializer_range=0.1,
        bos_token_id=end,
        eos_token_id=end,
    )
    return GPT2(config, seed=5).eval(), config


@pytest.fixture
def write_file(tmp_path, small, tokenizer):
    """Write the small model, with what a test changes."""

    def written(kind=Kind.F32, **options):
        path = tmp_path / f"model-{kind.name}.gguf"
        return path, write(path, *small, tokenizer, kind, **options)

    return written


@pytest.fixture
def write_bigram(tmp_path, small, tokenizer):
    """Write a file of another architecture: a table of tokens, and a head that is not tied."""

    def written(table, head):
        path = tmp_path / "bigram.gguf"
        writer = gguf.GGUFWriter(path, "bigram")
        writer.add_embedding_length(table.shape[1])
        writer.add_float32("bigram.scale", 0.1)
        add_tokenizer(writer, tokenizer, small[1])
        writer.add_tensor("token_embd.weight", table.numpy())
        writer.add_tensor("output.weight", head.numpy())
        writer.add_tensor("rope_freqs.weight", table[0].numpy().copy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return written
