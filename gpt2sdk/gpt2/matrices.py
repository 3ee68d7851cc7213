"""A model's matrices and parts, known by their names and sizes only."""

from collections.abc import Iterator

import torch

from gpt2sdk.components.quantizer import Matrix
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.keys import EMBEDDING, HEAD
from gpt2sdk.gpt2.layout import MATRICES, parameter_shapes


def model_matrices(config: GPT2Config, dtype: torch.dtype) -> Iterator[Matrix]:
    """Yield what a quantizer may be asked about: the blocks' matrices, the table and the head.

    Args:
        config: The model's sizes.
        dtype: The type of the weights.

    Example:
        >>> config = GPT2Config(vocab_size=7, n_embd=4, n_head=2, n_layer=1)
        >>> [(m.name, m.shape, m.use) for m in model_matrices(config, torch.float32)][:2]
        [('wte.weight', (7, 4), 'table'), ('h.0.attn.c_attn.weight', (12, 4), 'linear')]
    """
    tied = config.tie_word_embeddings
    for name, shape in parameter_shapes(config).items():
        size = (shape[0], shape[-1])
        if name == EMBEDDING:
            yield Matrix(name, size, dtype, "table", tied=tied)
        elif name == HEAD:
            yield Matrix(name, size, dtype, "head")
        elif name.endswith(MATRICES):
            yield Matrix(name, size, dtype, "linear")


def parameters_by_part(config: GPT2Config) -> dict[str, list[str]]:
    """Return the names of each part's parameters; a part is what is placed as a whole.

    >>> parts = parameters_by_part(GPT2Config(n_layer=2))
    >>> list(parts), parts["ln_f"]
    (['wte', 'wpe', 'h.0', 'h.1', 'ln_f'], ['ln_f.weight', 'ln_f.bias'])
    """
    parts: dict[str, list[str]] = {}
    for name in parameter_shapes(config):
        parts.setdefault(part_of(name), []).append(name)
    return parts


def part_of(name: str) -> str:
    """Return the part that a parameter belongs to.

    >>> part_of("h.11.ln_1.bias"), part_of("wpe.weight")
    ('h.11', 'wpe')
    """
    words = name.split(".")
    return ".".join(words[:2]) if words[0] == "h" else words[0]
