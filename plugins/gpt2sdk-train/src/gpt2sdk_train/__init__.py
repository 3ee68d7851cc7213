"""Training, fine-tuning and LoRA for gpt2sdk."""

from importlib import import_module
from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from gpt2sdk import CausalLM
    from gpt2sdk_train.adapters import Adapters
    from gpt2sdk_train.bpe import train_tokenizer
    from gpt2sdk_train.documents import read_documents
    from gpt2sdk_train.errors import TrainingError
    from gpt2sdk_train.events import Ended, Event, Observer, Saved, Started, Stepped, Validated
    from gpt2sdk_train.log_file import JsonLinesLog
    from gpt2sdk_train.lora import LoRA
    from gpt2sdk_train.merging import merge_adapter
    from gpt2sdk_train.objective import Objective
    from gpt2sdk_train.packing import PackedTokens
    from gpt2sdk_train.progress_bar import ProgressBar
    from gpt2sdk_train.tensorboard_log import TensorBoardLog
    from gpt2sdk_train.training import TrainingResult, train
    from gpt2sdk_train.training_settings import TrainingSettings
    from gpt2sdk_train.validation import ValidationScore, score

_HOMES = {
    "gpt2sdk_train.adapters": ("Adapters",),
    "gpt2sdk_train.bpe": ("train_tokenizer",),
    "gpt2sdk_train.documents": ("read_documents",),
    "gpt2sdk_train.errors": ("TrainingError",),
    "gpt2sdk_train.events": (
        "Ended",
        "Event",
        "Observer",
        "Saved",
        "Started",
        "Stepped",
        "Validated",
    ),
    "gpt2sdk_train.log_file": ("JsonLinesLog",),
    "gpt2sdk_train.lora": ("LoRA",),
    "gpt2sdk_train.merging": ("merge_adapter",),
    "gpt2sdk_train.objective": ("Objective",),
    "gpt2sdk_train.packing": ("PackedTokens",),
    "gpt2sdk_train.progress_bar": ("ProgressBar",),
    "gpt2sdk_train.training_settings": ("TrainingSettings",),
    "gpt2sdk_train.tensorboard_log": ("TensorBoardLog",),
    "gpt2sdk_train.training": ("TrainingResult", "train"),
    "gpt2sdk_train.validation": ("ValidationScore", "score"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Adapters",
    "Ended",
    "Event",
    "JsonLinesLog",
    "LoRA",
    "Objective",
    "Observer",
    "PackedTokens",
    "ProgressBar",
    "Saved",
    "Started",
    "Stepped",
    "TensorBoardLog",
    "TrainingError",
    "TrainingResult",
    "TrainingSettings",
    "Validated",
    "ValidationScore",
    "merge_adapter",
    "read_documents",
    "score",
    "train",
    "train_tokenizer",
]


@hookimpl
def gpt2sdk_load_adapter(model: "CausalLM", folder: "Path") -> bool:
    """Put a LoRA adapter in PEFT's format into a GPT-2, or into a model of transformers."""
    from gpt2sdk import NetworkLM
    from gpt2sdk.gpt2 import GPT2
    from gpt2sdk_train.adapters import Adapters

    if not isinstance(model, GPT2 | NetworkLM):
        return False
    Adapters(model).load(folder, "adapter")
    return True


@hookimpl
def gpt2sdk_cli(app: "typer.Typer") -> None:
    """Add `gpt2sdk train` and `gpt2sdk merge`."""
    from gpt2sdk_train.command import train
    from gpt2sdk_train.merge_command import merge

    app.command("train")(train)
    app.command("merge")(merge)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the entry module stays light.

    There is no `__dir__` beside it: who looks for hooks gets what that lists, and would import
    everything.
    """
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
