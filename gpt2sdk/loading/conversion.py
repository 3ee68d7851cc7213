"""Quantized folders from plain ones, matrix by matrix: the model is never held as a whole."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from gpt2sdk.allocator import tight_memory
from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.checkpoint import Checkpoint, stored_name
from gpt2sdk.components.quantizer import Matrix, Target
from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.errors import OptionError
from gpt2sdk.files.model_folder import MAX_SHARD_SIZE, file_orientation, write_folder
from gpt2sdk.files.shards import Bundle
from gpt2sdk.loading.assembly import Maker
from gpt2sdk.loading.load_settings import Quantization
from gpt2sdk.loading.location import Hub
from gpt2sdk.loading.lookup import find_quantizer, probe
from gpt2sdk.loading.opening import open_model
from gpt2sdk.loading.plan import LoadPlan
from gpt2sdk.loading.precision import parse_device, parse_dtype
from gpt2sdk.loading.recipe import Recipe, plan_recipe
from gpt2sdk.plugins.registry import Registry, default_registry
from gpt2sdk.tokenizer.tokenizer import Tokenizer

T = TypeVar("T")


def quantize_checkpoint(  # noqa: PLR0913 - a name, what to make of it, and where what is needed is
    source: str | Path,
    destination: str | Path,
    quantization: Quantization,
    *,
    dtype: torch.dtype | str = "auto",
    device: torch.device | str = "cpu",
    max_shard_size: int = MAX_SHARD_SIZE,
    hub: Hub | None = None,
    registry: Registry | None = None,
    watch: Callable[[int], None] = lambda _nbytes: None,
) -> LoadPlan:
    """Write a folder with quantized weights; what is not quantized stays as it is.

    It is written as a whole or not at all, with the tokenizer. What a killed process left under a
    hidden name is removed by the next one that writes the same folder.

    Args:
        source: A name as for `load`.
        destination: The folder to make or to replace.
        quantization: A quantizer, the name of an installed one, or another library's config.
        dtype: The type of what is not quantized, in the file and when it is loaded. "auto" keeps
            the types that the source has in its file, and those in which it is loaded.
        device: Where it is quantized; "auto" is the GPU if there is one.
        max_shard_size: Most bytes of one weight file; more become several, with an index.
        hub: How to reach the hub.
        registry: Where sources, formats and quantizers are looked for.
        watch: Is told how many bytes were written, matrix by matrix.

    Returns:
        What the folder takes when it is loaded on this device; `parts` say what became of each
        matrix.

    Raises:
        CheckpointError: If the model is not found or cannot be read, or writing fails; the folder
            is then as it was.
        OptionError: If the model is quantized already, or the folder is the model's own.
        PlacementError: If the quantizer does not work on the device.
    """
    registry = registry or default_registry()
    on = parse_device(device)
    quantizer = find_quantizer(quantization, registry)
    opened = open_model(source, registry=registry, hub=hub, device=on)
    if opened.quantizer is not None:
        raise OptionError(
            f"{source}: is quantized already, as {opened.quantizer!r}: quantize the model that it "
            "was made from",
            name="source",
            value=source,
        )
    if Path(destination).resolve() == opened.folder.resolve():
        raise OptionError(
            f"{destination}: is the model's own folder: expected another one, since quantizing "
            "cannot be undone",
            name="destination",
            value=destination,
        )
    tokenizer = opened.tokenizer()
    probe(quantizer, on)
    checkpoint = opened.checkpoint
    asked = parse_dtype(dtype)
    kind = asked or checkpoint.dtype
    plan = plan_recipe(opened, Recipe(kind, quantizer, None), on)
    with tight_memory():
        write_folder(
            destination,
            opened.architecture.config_files(str(kind).removeprefix("torch."), tokenizer),
            tokenizer if isinstance(tokenizer, Tokenizer) else None,
            _bundles(plan, Maker(checkpoint, quantizer, Target(on, kind)), asked),
            quantizer=quantizer,
            max_shard_size=max_shard_size,
            watch=watch,
        )
    return plan


def _bundles(plan: LoadPlan, maker: Maker, asked: torch.dtype | None) -> list[Bundle]:
    """Return what the folder gets, each matrix made when it is its turn."""
    checkpoint = maker.checkpoint
    architecture = checkpoint.architecture
    planned = {each.matrix.name: each for part in plan.parts for each in part.matrices}
    bundles = []
    for name, shape in checkpoint.shapes.items():
        found = planned.get(name)
        if found is not None and found.quantized is not None:
            infos = _keyed(architecture, name, found.quantized.stored)
            bundles.append(Bundle(infos, partial(_quantized, maker, found.matrix)))
        else:
            turned = shape[::-1] if architecture.transposed(name) else shape
            dtype = asked or checkpoint.stored_dtype(name)
            info = TensorInfo(turned, str(dtype).removeprefix("torch."))
            make = partial(_plain, checkpoint, name, dtype)
            bundles.append(Bundle({architecture.file_key(name): info}, make))
    return bundles


def _quantized(maker: Maker, matrix: Matrix) -> Mapping[str, Tensor]:
    return _keyed(maker.checkpoint.architecture, matrix.name, maker.make(matrix).stored())


def _keyed(architecture: Architecture, name: str, by_suffix: Mapping[str, T]) -> dict[str, T]:
    return {
        architecture.file_key(stored_name(name, suffix)): value
        for suffix, value in by_suffix.items()
    }


def _plain(
    checkpoint: Checkpoint[Architecture], name: str, dtype: torch.dtype
) -> Mapping[str, Tensor]:
    tensor = checkpoint.read(name, device=torch.device("cpu"), dtype=dtype)
    architecture = checkpoint.architecture
    return {architecture.file_key(name): file_orientation(architecture, name, tensor)}
