"""A model's folder or weight file: the config that belongs to its weights, whoever reads them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gpt2sdk.components.tensor_source import TensorSource
from gpt2sdk.config_files import CONFIG_FILE, ConfigFiles
from gpt2sdk.files.tensors import TorchSource, open_tensors


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Weights and the config that belongs to them, not yet compared.

    Attributes:
        config: What says what the model is.
        open: Opens the tensors.
    """

    config: ConfigFiles
    open: Callable[[], TensorSource] = field(repr=False)


def open_files(path: str | Path) -> ModelFiles:
    """Find the weights of a folder or file, and the config that belongs to them.

    The config is the `config.json` beside the weights, else what a weight file itself says of
    sizes. Of a folder it is read before the weights
    are looked for, since a model that nobody claims need not have any that can be read.

    Raises:
        CheckpointError: If files are absent or damaged.
    """
    path = Path(path)
    if path.is_dir():
        return ModelFiles(ConfigFiles.from_folder(path), partial(open_tensors, path))
    # That it is no weight file goes before what is missing beside it.
    source = open_tensors(path)
    args = source.model_args if isinstance(source, TorchSource) else None
    if args is not None and not (path.parent / CONFIG_FILE).is_file():
        return ModelFiles(ConfigFiles({}, path, model_args=args), lambda: source)
    return ModelFiles(ConfigFiles.from_folder(path.parent), lambda: source)
