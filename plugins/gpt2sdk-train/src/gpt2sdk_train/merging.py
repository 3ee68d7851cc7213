"""A model's folder from a model and an adapter."""

from pathlib import Path

from gpt2sdk import Generator, NetworkLM, OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.adapters import Adapters

_NAME = "adapter"


def merge_adapter(
    model: str | Path, adapter: str | Path, folder: str | Path, *, scale: float = 1.0
) -> None:
    """Write a model with an adapter added into its matrices.

    Args:
        model: The model that the adapter is for: a name or a folder.
        adapter: The adapter's folder.
        folder: Where to; a model that is there is replaced, as a whole or not at all.
        scale: How strongly the adapter acts: any finite number, 1 is as it was trained.

    Raises:
        CheckpointError: If the model or the adapter cannot be read, they do not fit, or the folder
            cannot be written.
        OptionError: If it is no model that adapters are for, or the scale is no finite number.
    """
    loaded = Generator.from_pretrained(model, device="cpu")
    if not isinstance(loaded.model, GPT2 | NetworkLM):
        raise OptionError(f"{model}: expected a GPT-2 model or one of transformers", name="model")
    adapters = Adapters(loaded.model)
    adapters.load(adapter, _NAME, scale=scale)
    adapters.merge()
    loaded.save_pretrained(folder)
