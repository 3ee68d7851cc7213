"""The names of GPT-2's tensors in GGUF files, and here."""

import re

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
