"""A model's folder in the Hugging Face layout, which any transformers version loads."""

import fnmatch
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from gpt2sdk.components.placement import Residency
from gpt2sdk.components.quantizer import Quantized, QuantizedLinear, Quantizer
from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.config import CONFIG_FILE, GENERATION_CONFIG_FILE, GPT2Config
from gpt2sdk.errors import CheckpointError, OptionError, listing
from gpt2sdk.gpt2.end_tokens import EndTokens, find_end_tokens
from gpt2sdk.gpt2.folder import replaced_folder
from gpt2sdk.gpt2.keys import HEAD
from gpt2sdk.gpt2.layout import MATRICES, parameter_shapes, stored_name
from gpt2sdk.gpt2.matrices import parameters_by_part, part_of
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.gpt2.shards import Bundle, is_writable, write_shards
from gpt2sdk.gpt2.tokenizer import Tokenizer
from gpt2sdk.gpt2.tokenizer_files import CHAT_TEMPLATES, TOKENIZER_FILES

QUANTIZATION_CONFIG = "quantization_config"
"""The key of `config.json` that says how weights are quantized."""

MAX_SHARD_SIZE = 5 * 10**9
"""Most bytes of one weight file, unless another number is asked for."""

_OTHER_ENDS = ("bos_token_id", "pad_token_id")
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


def save_pretrained(
    model: nn.Module,
    config: GPT2Config,
    tokenizer: Tokenizer | None,
    folder: str | Path,
    *,
    quantizer: Quantizer | None = None,
    max_shard_size: int = MAX_SHARD_SIZE,
) -> None:
    """Write a model's folder: config, weights and tokenizer; as a whole or not at all.

    Files of an older checkpoint in the folder are replaced, whatever else is there is kept. The
    generation config names all tokens that end a text. The weights are written slab by slab: no
    second copy of the model is made. Quantized matrices are written as they are.

    Args:
        model: A module with GPT-2's parameters.
        config: Its sizes; the dtype is taken from the weights.
        tokenizer: Its tokenizer; `None` writes none.
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
    bundles = list(_bundles(model, config))
    dtype = next(
        info.dtype
        for one in bundles
        for key, info in one.infos.items()
        if key.endswith("wpe.weight")
    )
    write_folder(
        folder,
        config.model_copy(update={"dtype": dtype}),
        tokenizer,
        bundles,
        quantizer=quantizer if quantized else None,
        max_shard_size=max_shard_size,
    )


def write_folder(
    folder: str | Path,
    config: GPT2Config,
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
        config: The model's sizes.
        tokenizer: Its tokenizer; `None` writes none.
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
    ends = find_end_tokens(config, tokenizer)
    config = _with_ends(config, tokenizer, ends)
    values = config.to_dict()
    values.pop(QUANTIZATION_CONFIG, None)
    if quantizer is not None:
        values[QUANTIZATION_CONFIG] = dict(quantizer.config())
    with replaced_folder(folder, owned=_is_owned) as new:
        _write_json(new / CONFIG_FILE, values)
        _write_json(new / GENERATION_CONFIG_FILE, generation_config(config, ends))
        if tokenizer is not None:
            tokenizer.save(new)
        write_shards(new, bundles, most=max_shard_size, watch=watch)


def file_key(name: str) -> str:
    """Return a tensor's name in the Hugging Face layout.

    >>> file_key("wte.weight.scale"), file_key("lm_head.weight.scale")
    ('transformer.wte.weight.scale', 'lm_head.weight.scale')
    """
    return name if part_of(name) == part_of(HEAD) else f"transformer.{name}"


def file_orientation(name: str, tensor: Tensor) -> Tensor:
    """Return a plain parameter as the original orients it: matrices `[in, out]`."""
    return tensor.T if name.endswith(MATRICES) else tensor


def generation_config(config: GPT2Config, ends: EndTokens) -> dict[str, object]:
    """Return what belongs into a `generation_config.json`: what was there, and all end tokens.

    Args:
        config: The model's.
        ends: Its end tokens.
    """
    own = config.generation_end_tokens
    missing = [token for token in ends.ids if token not in own]
    values: dict[str, object] = dict(config.generation)
    if not values:
        given = config.to_dict()
        values = {key: given[key] for key in _OTHER_ENDS if given.get(key) is not None}
    if missing:
        several = [*own, *missing]
        values["eos_token_id"] = several[0] if len(several) == 1 else several
    return values


def _with_ends(config: GPT2Config, tokenizer: Tokenizer | None, ends: EndTokens) -> GPT2Config:
    """Name the tokens that nobody named: readers would take them for those of GPT-2."""
    if tokenizer is None:
        return config
    several = ends.ids[0] if len(ends.ids) == 1 else ends.ids or None
    named = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": several}
    missing = {key: value for key, value in named.items() if key not in config.model_fields_set}
    return config.model_copy(update=missing)


def _is_owned(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _OWNED)


def _bundles(model: nn.Module, config: GPT2Config) -> Iterator[Bundle]:
    """Yield the parameters as the original names and orients them, a tied head once.

    They are bundled one by one, but a part that comes and goes as a whole.
    """
    wrong = []
    shapes = parameter_shapes(config)
    for names in _groups(model, config):
        with _present(model, names[0]):
            tensors = {key: each for name in names for key, each in _tensors(model, name).items()}
            infos = {key: TensorInfo.of(tensor) for key, tensor in tensors.items()}
            misfits = [name for name in names if not _fits(model, name, shapes[name])]
        unknown = not all(map(is_writable, infos.values()))
        wrong += names if unknown else misfits
        yield Bundle(infos, partial(_make, model, names))
    if wrong:
        # Layers that stand around others, as adapters do, have the matrices one level down.
        inside = any(name.endswith(".base") for name, _ in model.named_modules())
        hint = "; merge the adapters first, or remove them" if inside else ""
        raise CheckpointError(
            f"the model's parameters do not fit the config: {listing(wrong)}{hint}", missing=wrong
        )


def _groups(model: nn.Module, config: GPT2Config) -> Iterator[list[str]]:
    for part, names in parameters_by_part(config).items():
        if _passing(model, part):
            yield names
        else:
            yield from ([name] for name in names)


def _make(model: nn.Module, names: Sequence[str]) -> Mapping[str, Tensor]:
    with _present(model, names[0]) as stays:
        tensors = {key: each for name in names for key, each in _tensors(model, name).items()}
        if stays:
            return tensors
        return {key: each.detach().to("cpu", copy=True) for key, each in tensors.items()}


@contextmanager
def _present(model: nn.Module, name: str) -> Iterator[bool]:
    """Make sure that a parameter's part is there, and say whether it stays."""
    part = part_of(name)
    residency = _passing(model, part)
    # The form of its weights stays as it is meanwhile.
    with model.computing() if isinstance(model, GPT2) else nullcontext():
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
    residency = model.residency if isinstance(model, GPT2) else None
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


def _tensors(model: nn.Module, name: str) -> dict[str, Tensor]:
    """Return what the file has of a parameter, by key; nothing if the model lacks it."""
    module, leaf = _holder(model, name)
    if isinstance(module, Quantized):
        if leaf == "weight":
            stored = module.stored().items()
            return {file_key(stored_name(name, suffix)): tensor for suffix, tensor in stored}
        bias = module.bias if isinstance(module, QuantizedLinear) else None
        return {} if bias is None else {file_key(name): bias}
    # A module may hold its weights in another form; its state has them plain, one module at a
    # time.
    state = module.state_dict() if module else {}
    return {file_key(name): file_orientation(name, state[leaf])} if leaf in state else {}


def _write_json(file: Path, values: Mapping[str, object]) -> None:
    file.write_text(f"{json.dumps(values, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
