"""What GGUF files call the sizes and tensors of a GPT-2."""

import re

from gpt2sdk.components.weights import FormatWords, TranslatedFile
from gpt2sdk.errors import CheckpointError
from gpt2sdk.gpt2.keys import EMBEDDING, HEAD

FORMAT = "gguf"
MODEL_TYPE = "gpt2"

_POSITIONS = "wpe.weight"
_NEEDED = ("n_embd", "n_layer", "n_head", "layer_norm_epsilon")

_WHOLE = {
    "token_embd": "wte",
    "position_embd": "wpe",
    "output_norm": "ln_f",
    "output": "lm_head",
}
_IN_BLOCKS = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


def own_name(name: str) -> str:
    """Return the name a tensor has here; a foreign one keeps its own.

    >>> own_name("blk.11.ffn_up.bias"), own_name("output_norm.weight"), own_name("rope_freqs")
    ('h.11.mlp.c_fc.bias', 'ln_f.weight', 'rope_freqs')
    """
    module, _, kind = name.rpartition(".")
    if module in _WHOLE:
        return f"{_WHOLE[module]}.{kind}"
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)", module, re.ASCII)
    if match and match[2] in _IN_BLOCKS:
        return f"h.{match[1]}.{_IN_BLOCKS[match[2]]}.{kind}"
    return name


def translated(words: FormatWords) -> TranslatedFile:
    """Read sizes and names; the tables say themselves how long they are.

    Raises:
        CheckpointError: If something is missing.
    """
    names = {theirs: own_name(theirs) for theirs in words.tensors}
    shapes = {ours: words.tensors[theirs].shape for theirs, ours in names.items()}
    missing = sorted({EMBEDDING, _POSITIONS} - shapes.keys())
    if missing:
        raise CheckpointError(
            f"{words.path}: expected the tensors of a GPT-2, found no {' and '.join(missing)}",
            path=words.path,
            missing=missing,
        )
    sizes: dict[str, object] = {
        "vocab_size": shapes[EMBEDDING][0],
        "n_positions": shapes[_POSITIONS][0],
        "n_embd": words.whole_number("gpt2.embedding_length"),
        "n_layer": words.whole_number("gpt2.block_count"),
        "n_head": words.whole_number("gpt2.attention.head_count"),
        "n_inner": words.whole_number("gpt2.feed_forward_length"),
        "layer_norm_epsilon": words.number("gpt2.attention.layer_norm_epsilon"),
        "tie_word_embeddings": HEAD not in shapes,
    }
    absent = [name for name in _NEEDED if sizes[name] is None]
    if absent:
        raise CheckpointError(
            f"{words.path}: its settings lack {', '.join(absent)}: it is damaged, or no GPT-2",
            path=words.path,
        )
    return TranslatedFile({"model_type": MODEL_TYPE, **sizes}, names)
