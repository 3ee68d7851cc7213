"""Folders of GPT-2's four sizes with random weights, written matrix by matrix."""

import shutil
from functools import partial
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from gpt2sdk import GPT2Config, TensorInfo, Tokenizer
from gpt2sdk.files.model_folder import write_folder
from gpt2sdk.files.shards import Bundle
from gpt2sdk.gpt2.architecture import GPT2Architecture
from gpt2sdk.testing import tiny_tokenizer

SIZES = {
    "124M": {"n_layer": 12, "n_embd": 768, "n_head": 12},
    "355M": {"n_layer": 24, "n_embd": 1024, "n_head": 16},
    "774M": {"n_layer": 36, "n_embd": 1280, "n_head": 20},
    "1.5B": {"n_layer": 48, "n_embd": 1600, "n_head": 25},
}
SMALL = {"n_layer": 1, "n_embd": 128, "n_head": 2, "vocab_size": 1024}


def write_random_model(
    folder: Path,
    sizes: dict[str, int],
    *,
    table: float = 1.0,
    blocks: float = 1.0,
    tokenizer: Tokenizer | None = None,
) -> None:
    """Write a model in float32, with a tokenizer whose end token is the config's.

    Args:
        folder: Where to; made if need be.
        sizes: What differs from GPT-2 124M's config.
        table: What the table of tokens is multiplied with. With 1, as in training's beginning,
            greedy choices are near ties; 5 spreads them.
        blocks: What the blocks' matrices are multiplied with. With 1, a tied model mostly repeats
            the last token; with 5 it writes many different ones.
        tokenizer: The tokenizer; that of `gpt2sdk.testing` by default.

    Raises:
        SystemExit: If the disk has too little room for it and a copy.
    """
    tokenizer = tokenizer or tiny_tokenizer()
    end = tokenizer.eos_token_id
    config = GPT2Config(**sizes, bos_token_id=end, eos_token_id=end)
    gpt2 = GPT2Architecture(config=config)
    shapes = gpt2.parameters()
    room, free = 8 * sum(map(prod, shapes.values())), shutil.disk_usage(folder.parent).free
    if free < room:
        message = f"{folder.parent}: {room / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        raise SystemExit(message)
    bundles = []
    for number, (name, shape) in enumerate(shapes.items()):
        turned = shape[::-1] if gpt2.transposed(name) else shape
        scale = table if name == "wte.weight" else blocks if name.startswith("h.") else 1.0
        make = partial(_drawn, gpt2.file_key(name), turned, scale, number)
        bundles.append(Bundle({gpt2.file_key(name): TensorInfo(turned, "float32")}, make))
    configs = gpt2.config_files("float32", tokenizer)
    write_folder(folder, configs, tokenizer, bundles, max_shard_size=10**11)


def _drawn(key: str, shape: tuple[int, ...], scale: float, seed: int) -> dict[str, Tensor]:
    """Draw a parameter as GPT-2 is initialised: biases 0, norms 1, the others normal."""
    if len(shape) == 1:
        return {key: torch.full(shape, float(key.endswith("weight")))}
    generator = torch.Generator().manual_seed(seed)
    return {key: torch.randn(shape, generator=generator).mul_(0.02 * scale)}
