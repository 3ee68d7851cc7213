"""Where each parameter lies in a checkpoint: its key, orientation and tie.

GPT-2's four matrices are stored `[in, out]` (the original `Conv1D`) or `[out, in]` (`nn.Linear`).
One of them, `attn.c_proj`, is square, so its shape cannot tell which; `attn.c_attn` is never
square and speaks for all four.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from gpt2sdk.components.checkpoint import Layout, QuantizedInfos, Shape, StoredParameter, lay_out
from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.keys import ANCHOR, EMBEDDING, HEAD, Keys, foreign_hints
from gpt2sdk.gpt2.model import GPT2

MATRICES = GPT2.stored_transposed
"""The ends of the names of what the original layout stores `[in, out]`."""

_FLOATS = ("float64", "float32", "float16", "bfloat16")


def parameter_shapes(config: GPT2Config) -> dict[str, Shape]:
    """Return every parameter's name and shape, matrices `[out, in]`; a tied head is not listed.

    >>> shapes = parameter_shapes(GPT2Config(vocab_size=7, n_embd=4, n_head=2, n_layer=1))
    >>> shapes["wte.weight"], shapes["h.0.mlp.c_fc.weight"], "lm_head.weight" in shapes
    ((7, 4), (16, 4), False)
    """
    width, inner = config.n_embd, config.inner_size
    shapes: dict[str, Shape] = {
        EMBEDDING: (config.vocab_size, width),
        "wpe.weight": (config.n_positions, width),
    }
    block = {
        "ln_1": (width,),
        "attn.c_attn": (3 * width, width),
        "attn.c_proj": (width, width),
        "ln_2": (width,),
        "mlp.c_fc": (inner, width),
        "mlp.c_proj": (width, inner),
    }
    for layer in range(config.n_layer):
        for name, shape in block.items():
            shapes[f"h.{layer}.{name}.weight"] = shape
            shapes[f"h.{layer}.{name}.bias"] = shape[:1]
    shapes |= {"ln_f.weight": (width,), "ln_f.bias": (width,)}
    if not config.tie_word_embeddings:
        shapes[HEAD] = (config.vocab_size, width)
    return shapes


def find_layout(
    source: TensorSource,
    sorted_keys: Keys,
    config: GPT2Config,
    quantized: QuantizedInfos | None = None,
) -> Layout:
    """Find each parameter of a model in a checkpoint.

    Args:
        source: The checkpoint's tensors; only names, shapes and types are looked at.
        sorted_keys: What their keys stand for.
        config: The sizes the parameters must have.
        quantized: What is to be found in place of quantized parameters, by suffix.

    Raises:
        CheckpointError: If keys are missing, unexpected or of the wrong shape or type. All of them
            are in the error; the message lists the first, and says what they point to.
    """
    infos, quantized = source.infos, quantized or {}
    keys = dict(sorted_keys.names)
    expected = _expected(keys, config, quantized)
    transposed = _stored_in_out(keys, infos, quantized)
    entries = {
        name: (StoredParameter(keys.get(name, name), transposed and name.endswith(MATRICES)), shape)
        for name, shape in expected.items()
    }
    plain = {name: key for name, key in keys.items() if name not in quantized}
    hints = _hints(plain, infos, config, transposed=transposed)
    return lay_out(source, keys, entries, quantized, hints)


def _expected(
    keys: dict[str, str], config: GPT2Config, quantized: Collection[str]
) -> dict[str, Shape]:
    """Return the plain parameters that must be there; a tied head may be there under its name."""
    expected = parameter_shapes(config)
    if config.tie_word_embeddings and EMBEDDING not in quantized:
        if EMBEDDING not in keys and HEAD in keys:
            keys[EMBEDDING] = keys.pop(HEAD)
        elif HEAD in keys:
            expected[HEAD] = expected[EMBEDDING]
    return {name: shape for name, shape in expected.items() if name not in quantized}


def _stored_in_out(
    keys: Mapping[str, str], infos: Mapping[str, TensorInfo], quantized: Collection[str]
) -> bool:
    """Whether plain matrices lie `[in, out]`.

    `c_attn` tells: it has three outputs per input. Where every one is quantized, the matrices
    beside them are as in the released files.
    """
    for name, key in keys.items():
        if name.endswith("attn.c_attn.weight") and name not in quantized:
            shape = infos[key].shape
            return len(shape) != 2 or shape[0] != 3 * shape[1]
    return True


def _hints(
    keys: Mapping[str, str],
    infos: Mapping[str, TensorInfo],
    config: GPT2Config,
    *,
    transposed: bool,
) -> Iterator[str]:
    """Say what the misfit points to: sizes that plain weights imply, where the config differs.

    Quantized ones may lie in other shapes.
    """
    layers = {int(match[1]) for name in keys if (match := re.match(r"h\.(\d+)\.", name))}
    if layers and len(layers) != config.n_layer:
        yield f"the weights have n_layer={len(layers)}, the config says {config.n_layer}"
    inner = 1 if transposed else 0
    for size, name, dim in (
        ("n_embd", ANCHOR, 1),
        ("n_positions", ANCHOR, 0),
        ("vocab_size", EMBEDDING, 0),
        ("inner_size", "h.0.mlp.c_fc.weight", inner),
    ):
        info = infos[keys[name]] if name in keys else None
        wanted = getattr(config, size)
        if info and info.dtype in _FLOATS and len(info.shape) == 2 and info.shape[dim] != wanted:
            yield f"the weights have {size}={info.shape[dim]}, the config says {wanted}"
    if not config.tie_word_embeddings and HEAD not in keys:
        yield f"the config says tie_word_embeddings=false, but there is no {HEAD}"
    yield from foreign_hints(infos)
    if any(0 in infos[key].shape for key in keys.values()):
        yield "they are divided among processes: make them whole with DeepSpeed's zero_to_fp32.py"
    numbers = {infos[key].dtype for name, key in keys.items() if name.endswith(MATRICES)}
    if "quantization_config" in config.extra or not numbers.issubset(_FLOATS):
        yield "the weights are quantized"
    if not layers:
        yield "this does not look like a GPT-2"
