"""A model's folder in the Hugging Face layout, which any transformers version loads."""

import fnmatch
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.checkpoint import stored_name
from gpt2sdk.components.language import Language
from gpt2sdk.components.placement import Residency, residency_of
from gpt2sdk.components.quantized import Quantized, QuantizedLinear
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.config_files import CONFIG_FILE, GENERATION_CONFIG_FILE
from gpt2sdk.errors import CheckpointError, OptionError, listing
from gpt2sdk.files.folder import replaced_folder
from gpt2sdk.files.shards import Bundle, is_writable, write_shards
from gpt2sdk.tokenizer.tokenizer import Tokenizer
from gpt2sdk.tokenizer.tokenizer_files import CHAT_TEMPLATES, TOKENIZER_FILES

QUANTIZATION_CONFIG = "quantization_config"
"""The key of `config.json` that says how weights are quantized."""

MAX_SHARD_SIZE = 5 * 10**9
"""Most bytes of one weight file, unless another number is asked for."""

# Weights of every kind: those of another kind left beside the new ones would be a second model.
_OWNED = (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    *TOKENIZER_FILES,
    f"{CHAT_TEMPLATES}/",
    "model*.safetensors",
    "pytorch_model*.bin",
    "*.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
)


def save_model(
    model: nn.Module,
    architecture: Architecture,
    tokenizer: Language | None,
    folder: str | Path,
    *,
    quantizer: Quantizer | None = None,
    max_shard_size: int = MAX_SHARD_SIZE,
) -> None:
    """Write a model's folder: config, weights and tokenizer; as a whole or not at all.

    Files of an older checkpoint in the folder are replaced, whatever else is there is kept. The
    weights are written slab by slab: no second copy of the model is made. Quantized matrices are
    written as they are.

    Args:
        model: A module with the architecture's parameters.
        architecture: What names them, and writes the config.
        tokenizer: The model's; one that is no `Tokenizer` is not written, nor is `None`.
        folder: Where to; made if need be.
        quantizer: What made its quantized matrices, if it has any.
        max_shard_size: Most bytes of one weight file; more become several, with an index.

    Raises:
        CheckpointError: If the parameters don't fit the config, or writing fails; the folder is
            then as it was.
        OptionError: If `max_shard_size` is not positive, or the model is quantized and `quantizer`
            is missing.
    """
    quantized = any(isinstance(module, Quantized) for module in model.modules())
    if quantized and quantizer is None:
        raise OptionError(
            "the model is quantized: pass quantizer=, what made its matrices", name="quantizer"
        )
    bundles = list(_bundles(model, architecture))
    write_folder(
        folder,
        architecture.config_files(_plain_dtype(architecture, bundles), tokenizer),
        tokenizer if isinstance(tokenizer, Tokenizer) else None,
        bundles,
        quantizer=quantizer if quantized else None,
        max_shard_size=max_shard_size,
    )


def write_folder(
    folder: str | Path,
    configs: Mapping[str, Mapping[str, object]],
    tokenizer: Tokenizer | None,
    bundles: Sequence[Bundle],
    *,
    quantizer: Quantizer | None = None,
    max_shard_size: int = MAX_SHARD_SIZE,
    watch: Callable[[int], None] = lambda _nbytes: None,
) -> None:
    """Write a model's folder from weights that are made as they are written.

    Args:
        folder: Where to; made if need be.
        configs: What the config files hold, by their names: see `Architecture.config_files`.
        tokenizer: The model's tokenizer; `None` writes none.
        bundles: The weights, under their names in the file.
        quantizer: What made the quantized ones.
        max_shard_size: Most bytes of one weight file.
        watch: Is told how many bytes were written, bundle by bundle.

    Raises:
        CheckpointError: If writing fails; the folder is then as it was.
        OptionError: If `max_shard_size` is not positive.
    """
    if max_shard_size < 1:
        raise OptionError(
            f"max_shard_size={max_shard_size}: expected 1 byte or more",
            name="max_shard_size",
            value=max_shard_size,
            expected="1 or more",
        )
    files = {name: dict(values) for name, values in configs.items()}
    files[CONFIG_FILE].pop(QUANTIZATION_CONFIG, None)
    if quantizer is not None:
        files[CONFIG_FILE][QUANTIZATION_CONFIG] = dict(quantizer.config())
    with replaced_folder(folder, owned=_is_owned) as new:
        for name, values in files.items():
            _write_json(new / name, values)
        if tokenizer is not None:
            tokenizer.save(new)
        write_shards(new, bundles, most=max_shard_size, watch=watch)


def file_orientation(architecture: Architecture, name: str, tensor: Tensor) -> Tensor:
    """Return a plain parameter as a checkpoint orients it."""
    return tensor.T if architecture.transposed(name) else tensor


def _plain_dtype(architecture: Architecture, bundles: Sequence[Bundle]) -> str:
    """The type of the first parameter that no quantizer is asked about, or of the first of all.

    The last is a norm as a rule, which some keep in a longer type than the model's.
    """
    asked = {matrix.name for matrix in architecture.matrices(torch.float32)}
    infos = {key: info for one in bundles for key, info in one.infos.items()}
    names = architecture.parameters()
    plain = [name for name in names if name not in asked] or list(names)
    return next(
        (infos[key].dtype for key in map(architecture.file_key, plain) if key in infos), "float32"
    )


def _is_owned(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _OWNED)


def _bundles(model: nn.Module, architecture: Architecture) -> Iterator[Bundle]:
    """Yield the parameters as a checkpoint names and orients them, a tied head once.

    They are bundled one by one, but a part that comes and goes as a whole.
    """
    wrong = []
    shapes = architecture.parameters()
    for part, names in _groups(model, architecture):
        with _present(model, part):
            tensors = _all_tensors(model, architecture, names)
            infos = {key: TensorInfo.of(tensor) for key, tensor in tensors.items()}
            misfits = [name for name in names if not _fits(model, name, shapes[name])]
        unknown = not all(map(is_writable, infos.values()))
        wrong += names if unknown else misfits
        yield Bundle(infos, partial(_make, model, architecture, part, names))
    if wrong:
        # Layers that stand around others, as adapters do, have the matrices one level down.
        inside = any(name.endswith(".base") for name, _ in model.named_modules())
        hint = "; merge the adapters first, or remove them" if inside else ""
        raise CheckpointError(
            f"the model's parameters do not fit the config: {listing(wrong)}{hint}", missing=wrong
        )


def _groups(model: nn.Module, architecture: Architecture) -> Iterator[tuple[str, list[str]]]:
    for part, names in architecture.parts().items():
        if _passing(model, part):
            yield part, names
        else:
            yield from ((part, [name]) for name in names)


def _make(
    model: nn.Module, architecture: Architecture, part: str, names: Sequence[str]
) -> Mapping[str, Tensor]:
    with _present(model, part) as stays:
        tensors = _all_tensors(model, architecture, names)
        if stays:
            return tensors
        return {key: each.detach().to("cpu", copy=True) for key, each in tensors.items()}


@contextmanager
def _present(model: nn.Module, part: str) -> Iterator[bool]:
    """Make sure that a part is there, and say whether it stays."""
    residency = _passing(model, part)
    if residency is None:
        yield True
        return
    residency.acquire(part)
    try:
        yield False
    finally:
        residency.release(part)


def _passing(model: nn.Module, part: str) -> Residency | None:
    """Return what brings a part and takes it away again; `None` if it stays."""
    residency = residency_of(model)
    return None if residency is None or residency.permanent(part) else residency


def _holder(model: nn.Module, name: str) -> tuple[nn.Module | None, str]:
    """Return the module that has a parameter, and its name there; `None` if there is none."""
    path, _, leaf = name.rpartition(".")
    try:
        return model.get_submodule(path), leaf
    except AttributeError:
        return None, leaf


def _fits(model: nn.Module, name: str, shape: tuple[int, ...]) -> bool:
    module, leaf = _holder(model, name)
    if isinstance(module, Quantized):
        bias = module.bias if isinstance(module, QuantizedLinear) else None
        return leaf == "weight" or (bias is not None and tuple(bias.shape) == shape)
    parameters = dict(module.named_parameters(recurse=False)) if module else {}
    return leaf in parameters and tuple(parameters[leaf].shape) == shape


def _all_tensors(
    model: nn.Module, architecture: Architecture, names: Sequence[str]
) -> dict[str, Tensor]:
    return {
        key: each for name in names for key, each in _tensors(model, architecture, name).items()
    }


def _tensors(model: nn.Module, architecture: Architecture, name: str) -> dict[str, Tensor]:
    """Return what the file has of a parameter, by key; nothing if the model lacks it."""
    module, leaf = _holder(model, name)
    key = architecture.file_key
    if isinstance(module, Quantized):
        if leaf == "weight":
            stored = module.stored().items()
            return {key(stored_name(name, suffix)): tensor for suffix, tensor in stored}
        bias = module.bias if isinstance(module, QuantizedLinear) else None
        return {} if bias is None else {key(name): bias}
    # A module may hold its weights in another form; its state has them plain, one module at a
    # time.
    state = module.state_dict() if module else {}
    return {key(name): file_orientation(architecture, name, state[leaf])} if leaf in state else {}


def _write_json(file: Path, values: Mapping[str, object]) -> None:
    file.write_text(f"{json.dumps(values, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
