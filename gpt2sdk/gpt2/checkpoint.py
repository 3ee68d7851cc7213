"""A checkpoint's weights under the model's names, streamed straight into place.

Resolve, plan, stream: `open_checkpoint` looks at names, shapes and ties without reading weights;
`Checkpoint.slabs` hands out each parameter in `[out, in]` rows, so that who allocates, places or
quantizes it needs neither the whole tensor nor a second copy.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gpt2sdk.architecture import foreign_code, unknown_keys
from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.config import CONFIG_FILE, GPT2Config
from gpt2sdk.errors import CheckpointError, PlacementError, listing
from gpt2sdk.gpt2.allocator import tight_memory
from gpt2sdk.gpt2.keys import ANCHOR, EMBEDDING, HEAD, Keys, sort_keys
from gpt2sdk.gpt2.layout import Layout, Place, find_layout, parameter_shapes
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.gpt2.nanogpt import NANOGPT_NOTE, nanogpt_config
from gpt2sdk.gpt2.tensors import TorchSource, open_tensors
from gpt2sdk.gpt2.zero_biases import absent_biases, with_zero_biases


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights that fit a config, ready to be read.

    Attributes:
        config: The model's sizes; where the file contradicts its ties, these follow the file.
        source: Where the tensors are.
        layout: Where each parameter lies there.
        notes: What a reader of the checkpoint should know, one line each.
    """

    config: GPT2Config
    source: TensorSource
    layout: Layout
    notes: tuple[str, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type: what the config says, else that of the file."""
        name = self.config.dtype
        return getattr(torch, name) if name else self.file_dtype

    @property
    def file_dtype(self) -> torch.dtype:
        """The type in which the file has the embedding; the positions, where that is quantized."""
        return self.stored_dtype(EMBEDDING if EMBEDDING in self.layout.places else ANCHOR)

    def stored_dtype(self, name: str) -> torch.dtype:
        """Return the type in which the file has a plain parameter.

        Raises:
            CheckpointError: If torch has no such type.
        """
        stored = self.source.infos[self.layout.places[name].key].dtype
        dtype = getattr(torch, stored, None)
        if not isinstance(dtype, torch.dtype):
            raise CheckpointError(f"{self.source.path}: {stored} is no type of numbers")
        return dtype

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every parameter's name and shape, matrices `[out, in]`; a tied head is not listed."""
        return parameter_shapes(self.config)

    def slabs(self, name: str) -> Iterator[Tensor]:
        """Yield a parameter's consecutive rows, a few MiB at a time, on the CPU.

        Matrices come as `[out, in]`, however they are stored. A slab is good until the next one
        is asked for, and has the stored type.

        Raises:
            CheckpointError: If the file cannot be read.
        """
        return _place_slabs(self.source, self.layout.places[name])

    def read(self, name: str, *, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Read one parameter into a new tensor, converted on the way.

        Raises:
            CheckpointError: If the file cannot be read.
            PlacementError: If the device has no room for it.
        """
        whole = self._allocate(name, device, dtype)
        start = 0
        for slab in self.slabs(name):
            whole[start : start + len(slab)].copy_(slab)
            start += len(slab)
        return whole

    def read_quantized(self, name: str) -> Mapping[str, Tensor]:
        """Return the tensors of a quantized parameter by suffix; they may be mapped from the file.

        Raises:
            CheckpointError: If the file cannot be read.
        """
        keys = self.layout.quantized[name]
        return {suffix: self.source.read(key) for suffix, key in keys.items()}

    def _allocate(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        shapes = self.shapes
        try:
            return torch.empty(shapes[name], device=device, dtype=dtype)
        except RuntimeError as error:
            numbers = sum(torch.Size(shape).numel() for shape in shapes.values())
            raise PlacementError(
                f"{device}: no room left for {name}; the weights take "
                f"{numbers * dtype.itemsize / 2**30:.2f} GiB in all: expected a larger device, a "
                "smaller dtype, quantization or placement",
                out_of_memory=True,
            ) from error


def open_checkpoint(path: str | Path, config: GPT2Config | None = None) -> Checkpoint:
    """Find a model's weights in a folder or file, and check that they fit.

    Args:
        path: A folder, a weight file or an index of shards.
        config: The sizes; those of the files unless given.

    Raises:
        CheckpointError: If files are absent or damaged, or keys don't fit the config.
    """
    if config is not None:
        return fit_checkpoint(open_tensors(path), config)
    files = open_files(path)
    return fit_checkpoint(files.source, files.config, notes=files.notes)


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """Weights and the sizes that belong to them, not yet compared.

    Attributes:
        source: The tensors.
        config: The sizes.
        notes: What was noticed, one line each.
    """

    source: TensorSource
    config: GPT2Config
    notes: tuple[str, ...] = ()


def open_files(path: str | Path) -> CheckpointFiles:
    """Open the weights of a folder or file, and the sizes that belong to them.

    The sizes are those of the `config.json` beside the weights, or what nanoGPT writes into its
    weight files, where there is none.

    Raises:
        CheckpointError: If files are absent or damaged.
    """
    path = Path(path)
    if path.is_dir():
        config = GPT2Config.from_folder(path)
        return CheckpointFiles(open_tensors(path), config)
    # That it is no weight file goes before what is missing beside it.
    source = open_tensors(path)
    args = source.model_args if isinstance(source, TorchSource) else None
    if args is not None and not (path.parent / CONFIG_FILE).is_file():
        return CheckpointFiles(source, nanogpt_config(args, path), (NANOGPT_NOTE,))
    return CheckpointFiles(source, GPT2Config.from_folder(path.parent))


def fit_checkpoint(
    source: TensorSource,
    config: GPT2Config,
    quantized: Mapping[str, Mapping[str, TensorInfo]] | None = None,
    *,
    notes: Iterable[str] = (),
) -> Checkpoint:
    """Check that the tensors of any source fit a config, and follow them in what is tied.

    Args:
        source: The tensors.
        config: The sizes.
        quantized: What is to be found in place of quantized parameters: their tensors by suffix.
        notes: What was noticed before.

    Raises:
        CheckpointError: If keys don't fit the config.
    """
    keys = sort_keys(source)
    _check_repeated(source, keys)
    absent = absent_biases(source, keys.names, config)
    if absent:
        source = with_zero_biases(source, keys, absent, config)
        keys = sort_keys(source)
    layout = find_layout(source, keys, config, quantized)
    noted = [*notes, *_config_notes(config), *_notes(keys, absent)]
    if config.tie_word_embeddings and layout.head is not None:
        if _same(source, layout.places[EMBEDDING], layout.head):
            places = {name: place for name, place in layout.places.items() if name != HEAD}
            layout = replace(layout, places=places, head=None)
        else:
            config = config.model_copy(update={"tie_word_embeddings": False})
            noted.append("the output head differs from the embedding, so they are not tied")
    return Checkpoint(config, source, layout, tuple(noted))


def _check_repeated(source: TensorSource, keys: Keys) -> None:
    """Make sure that keys of one parameter hold the same numbers; more than that loses nothing."""
    for name, others in keys.repeated.items():
        key = keys.names[name]
        for other in others:
            alike = source.infos[key] == source.infos[other]
            if not alike or not _same(source, Place(key), Place(other)):
                raise CheckpointError(
                    f"{source.path}: {key} and {other} are the same parameter with different "
                    "numbers, expected one",
                    path=source.path,
                    unexpected=[other],
                )


def _config_notes(config: GPT2Config) -> Iterator[str]:
    unknown = list(unknown_keys(config.extra))
    if unknown:
        yield (
            f"the config has keys that are not known here: {listing(unknown)}: they are kept and "
            "change nothing"
        )
    code = foreign_code(config.extra)
    if code:
        yield (
            f"the config names code that comes with the checkpoint (auto_map: {code}): it is never "
            "run, and the weights are read as a plain GPT-2's"
        )


def _notes(keys: Keys, absent: Collection[str]) -> Iterator[str]:
    if keys.masks:
        yield f"{len(keys.masks)} keys that are no weights were left out"
    if keys.heads:
        yield f"heads beside the language model's were left out: {listing(keys.heads)}"
    if absent:
        yield f"the checkpoint has no biases of its {' and '.join(absent)}: they are zeros"


def load_model(checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> GPT2:
    """Build the model and stream its weights in; at most a slab of them exists twice.

    It is in evaluation mode and frozen: `model.train().requires_grad_()` makes it trainable.

    Raises:
        CheckpointError: If a file cannot be read.
        PlacementError: If the device's memory does not suffice.
    """
    model = empty_model(checkpoint.config, dtype)
    with tight_memory():
        for name in checkpoint.shapes:
            fill(model, checkpoint, name, device=device, dtype=dtype)
    return model


def empty_model(config: GPT2Config, dtype: torch.dtype) -> GPT2:
    """Build a model without weights, in evaluation mode, for weights of this type."""
    name = str(dtype).removeprefix("torch.")
    with torch.device("meta"):
        model = GPT2(config.model_copy(update={"dtype": name}))
    return model.requires_grad_(requires_grad=False).eval()


def fill(
    model: GPT2, checkpoint: Checkpoint, name: str, *, device: torch.device, dtype: torch.dtype
) -> None:
    """Give a model without weights one of its parameters.

    Raises:
        CheckpointError: If the file cannot be read.
        PlacementError: If the device's memory does not suffice.
    """
    module, _, leaf = name.rpartition(".")
    value = checkpoint.read(name, device=device, dtype=dtype)
    setattr(model.get_submodule(module), leaf, nn.Parameter(value, requires_grad=False))


def _place_slabs(source: TensorSource, place: Place) -> Iterator[Tensor]:
    if not place.transposed:
        yield from source.slabs(place.key)
        return
    for slab in source.slabs(place.key, dim=1):
        # Turning and converting are fast only one at a time, and from contiguous memory.
        yield slab.contiguous().T.contiguous()


def _same(source: TensorSource, one: Place, other: Place) -> bool:
    """Whether two parameters of one shape hold the same numbers."""
    if one.key == other.key:
        return True
    pairs = zip(_place_slabs(source, one), _place_slabs(source, other), strict=True)
    return all(torch.equal(left.to(right.dtype), right) for left, right in pairs)
