"""GPT-2 checkpoints by themselves: without plugins, plans and devices of a loader."""

from pathlib import Path

import torch

from gpt2sdk.allocator import tight_memory
from gpt2sdk.components.checkpoint import Checkpoint, QuantizedInfos
from gpt2sdk.components.tensor_source import TensorSource
from gpt2sdk.config import GPT2Config
from gpt2sdk.files.model_files import open_files
from gpt2sdk.files.tensors import open_tensors
from gpt2sdk.gpt2.architecture import GPT2Architecture
from gpt2sdk.gpt2.model import GPT2


def open_checkpoint(
    path: str | Path, config: GPT2Config | None = None
) -> Checkpoint[GPT2Architecture]:
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
    architecture = GPT2Architecture.of_files(files.config)
    return architecture.fit(files.open())


def fit_checkpoint(
    source: TensorSource, config: GPT2Config, quantized: QuantizedInfos | None = None
) -> Checkpoint[GPT2Architecture]:
    """Check that the tensors of any source fit a config, and follow them in what is tied.

    Args:
        source: The tensors.
        config: The sizes.
        quantized: What is to be found in place of quantized parameters: their tensors by suffix.

    Raises:
        CheckpointError: If keys don't fit the config.
    """
    return GPT2Architecture(config=config).fit(source, quantized)


def load_model(
    checkpoint: Checkpoint[GPT2Architecture], *, device: torch.device, dtype: torch.dtype
) -> GPT2:
    """Build the model and stream its weights in; at most a slab of them exists twice.

    It is in evaluation mode and frozen: `model.train().requires_grad_()` makes it trainable.

    Raises:
        CheckpointError: If a file cannot be read.
        PlacementError: If the device's memory does not suffice.
    """
    model = checkpoint.architecture.empty_model(dtype)
    with tight_memory():
        for name in checkpoint.shapes:
            checkpoint.fill(model, name, device=device, dtype=dtype)
    return model
