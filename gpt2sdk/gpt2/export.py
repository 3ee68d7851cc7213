"""A model's folder in the Hugging Face layout, which any transformers version loads."""

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.config import CONFIG_FILE, GENERATION_CONFIG_FILE, GPT2Config
from gpt2sdk.errors import CheckpointError, OptionError, listing
from gpt2sdk.gpt2.folder import replaced_folder
from gpt2sdk.gpt2.layout import HEAD, MATRICES, parameter_shapes
from gpt2sdk.gpt2.tensors import slab_bounds, tensor_info
from gpt2sdk.gpt2.tokenizer import Tokenizer
from gpt2sdk.gpt2.tokenizer_files import TOKENIZER_FILES

# The name of each type in a safetensors header, and the bytes of a number.
_DTYPES = {
    "float64": ("F64", 8),
    "float32": ("F32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
}
# Weights of every kind: those of another kind left beside the new ones would be a second model.
_OWNED = (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    *TOKENIZER_FILES,
    "model*.safetensors",
    "pytorch_model*.bin",
    "*.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
)


@dataclass(frozen=True, slots=True)
class _Stored:
    """One parameter as it is written.

    Attributes:
        key: Its name in the file.
        module: What holds it.
        name: Its name there.
        info: Its shape in the file, and its type.
        transposed: Whether the file has it turned over.
    """

    key: str
    module: nn.Module
    name: str
    info: TensorInfo
    transposed: bool

    @property
    def itemsize(self) -> int:
        return _DTYPES[self.info.dtype][1]

    @property
    def nbytes(self) -> int:
        return torch.Size(self.info.shape).numel() * self.itemsize

    def slabs(self) -> Iterator[Tensor]:
        # A module may hold its weights in another form; its state has them plain, one module at a
        # time.
        tensor = self.module.state_dict()[self.name]
        turned = tensor.T if self.transposed else tensor
        for start, end in slab_bounds(self.info, dim=0):
            yield turned[start:end].detach().cpu().contiguous()


def save_pretrained(
    model: nn.Module,
    config: GPT2Config,
    tokenizer: Tokenizer | None,
    folder: str | Path,
    *,
    max_shard_size: int = 5 * 10**9,
) -> None:
    """Write a model's folder: config, weights and tokenizer; as a whole or not at all.

    Files of an older checkpoint in the folder are replaced, whatever else is there is kept. The
    weights are written slab by slab: no second copy of the model is made.

    Args:
        model: A module with GPT-2's parameters.
        config: Its sizes; the dtype is taken from the weights.
        tokenizer: Its tokenizer; `None` writes none.
        folder: Where to; made if need be.
        max_shard_size: Most bytes of one weight file; more become several, with an index.

    Raises:
        CheckpointError: If the parameters don't fit the config, or writing fails; the folder is
            then as it was.
        OptionError: If `max_shard_size` is not positive.
    """
    if max_shard_size < 1:
        raise OptionError(
            f"max_shard_size={max_shard_size}: expected 1 byte or more",
            name="max_shard_size",
            value=max_shard_size,
            expected="1 or more",
        )
    stored = _stored(model, config)
    config = config.model_copy(update={"dtype": stored[0].info.dtype})
    with replaced_folder(folder, owned=_is_owned) as new:
        _write_json(new / CONFIG_FILE, config.to_dict())
        _write_json(new / GENERATION_CONFIG_FILE, config.generation_dict())
        if tokenizer is not None:
            tokenizer.save(new)
        _write_shards(new, _shards(stored, max_shard_size))


def _is_owned(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _OWNED)


def _stored(model: nn.Module, config: GPT2Config) -> list[_Stored]:
    """List the parameters as the original names and orients them, a tied head once."""
    parameters = dict(model.named_parameters())
    shapes = parameter_shapes(config)
    wrong = [
        name
        for name, shape in shapes.items()
        if name not in parameters
        or tuple(parameters[name].shape) != shape
        or tensor_info(parameters[name]).dtype not in _DTYPES
    ]
    if wrong:
        raise CheckpointError(
            f"the model's parameters do not fit the config: {listing(wrong)}", missing=wrong
        )
    return [_stored_one(model, name, parameters[name]) for name in shapes]


def _stored_one(model: nn.Module, name: str, parameter: Tensor) -> _Stored:
    module, _, leaf = name.rpartition(".")
    transposed = name.endswith(MATRICES)
    info = tensor_info(parameter.T if transposed else parameter)
    key = name if name == HEAD else f"transformer.{name}"
    return _Stored(key, model.get_submodule(module), leaf, info, transposed)


def _shards(stored: Sequence[_Stored], most: int) -> list[list[_Stored]]:
    shards: list[list[_Stored]] = [[]]
    size = 0
    for one in stored:
        if shards[-1] and size + one.nbytes > most:
            shards.append([])
            size = 0
        shards[-1].append(one)
        size += one.nbytes
    return shards


def _write_shards(folder: Path, shards: Sequence[Sequence[_Stored]]) -> None:
    if len(shards) == 1:
        _write_safetensors(folder / "model.safetensors", shards[0])
        return
    weight_map: dict[str, object] = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_safetensors(folder / name, shard)
        weight_map |= dict.fromkeys((one.key for one in shard), name)
    total = sum(one.nbytes for shard in shards for one in shard)
    _write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": weight_map},
    )


def _write_safetensors(file: Path, stored: Sequence[_Stored]) -> None:
    """Write tensors one after another.

    The library's own writer wants all of them in memory at once, in the orientation of the file:
    a second copy of the model. The format is a length, a JSON header and the bytes.
    """
    # Wider types first, so that every tensor starts at a multiple of its element size.
    stored = sorted(stored, key=lambda one: -one.itemsize)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for one in stored:
        offsets: list[object] = [start, start + one.nbytes]
        start += one.nbytes
        header[one.key] = {
            "dtype": _DTYPES[one.info.dtype][0],
            "shape": list(one.info.shape),
            "data_offsets": offsets,
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        for one in stored:
            for slab in one.slabs():
                opened.write(slab.view(torch.uint8).numpy().data)


def _write_json(file: Path, values: Mapping[str, object]) -> None:
    file.write_text(f"{json.dumps(values, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
