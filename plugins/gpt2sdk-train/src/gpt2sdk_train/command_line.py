"""What `gpt2sdk train` does once its arguments are read."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import typer
from accelerate import PartialState  # type: ignore[import-untyped]

from gpt2sdk import Component, Generator, GPT2Config, OptionError
from gpt2sdk.gpt2 import GPT2, Tokenizer
from gpt2sdk_train.adapters import Adapters
from gpt2sdk_train.bpe import train_tokenizer
from gpt2sdk_train.documents import read_documents
from gpt2sdk_train.events import Event, Observer
from gpt2sdk_train.lora import LoRA
from gpt2sdk_train.progress_bar import ProgressBar
from gpt2sdk_train.settings import TrainingSettings
from gpt2sdk_train.tensorboard_log import TensorBoardLog
from gpt2sdk_train.training import train

Value = TypeVar("Value", bound=Component)

# What shells report of a program that Ctrl-C ended.
_INTERRUPTED = 130
# A model that an hour on two cores can train.
_SMALL = {"vocab_size": 4096, "n_positions": 256, "n_embd": 256, "n_layer": 6, "n_head": 4}


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for.

    Attributes:
        texts: Files and folders of text.
        validation: The same, not trained on.
        output: The folder of the run.
        model: What is trained further; `None` for a fresh model.
        settings: Fields of `TrainingSettings`.
        sizes: Fields of a fresh model's config.
        lora: Fields of `LoRA`; `None` trains the weights themselves.
        resume: Whether to go on from a checkpoint.
        tensorboard: Whether to log for TensorBoard.
        as_json: Whether to print events as JSON.
    """

    texts: tuple[Path, ...]
    validation: tuple[Path, ...]
    output: Path
    model: str | None
    settings: Mapping[str, object]
    sizes: Mapping[str, object]
    lora: Mapping[str, object] | None
    resume: bool
    tensorboard: bool
    as_json: bool


def carry_out(order: Order) -> None:
    """Train as ordered, and say where the result is.

    Raises:
        OptionError: A setting, a file or the folder does not fit.
        typer.Exit: The user interrupted it; everything is saved.
    """
    settings = _made(TrainingSettings, order.settings)
    documents = read_documents(*order.texts)
    validation = read_documents(*order.validation) if order.validation else []
    model, tokenizer = _fresh(order, documents) if order.model is None else _loaded(order)
    if order.lora is not None:
        Adapters(model).add("adapter", _made(LoRA, order.lora), seed=settings.seed)
    observers: list[Observer] = [_print_json if order.as_json else ProgressBar()]
    if order.tensorboard:
        observers.append(TensorBoardLog(order.output / "tensorboard"))
    result = train(
        model,
        tokenizer,
        documents,
        settings,
        output=order.output,
        validation=validation,
        observers=observers,
        resume=order.resume,
    )
    if not order.as_json and PartialState().is_main_process:
        sys.stdout.write(f"{result.reason} after {result.step} steps: {result.folder}\n")
    if result.reason == "interrupted":
        raise typer.Exit(_INTERRUPTED)


def _fresh(order: Order, documents: list[str]) -> tuple[GPT2, Tokenizer]:
    sizes = {**_SMALL, **order.sizes}
    wanted = sizes["vocab_size"]
    if not isinstance(wanted, int):
        raise OptionError(f"vocab_size={wanted!r}: expected a whole number", name="vocab_size")
    tokenizer = train_tokenizer(documents, vocab_size=wanted)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = GPT2Config.from_dict({"model_type": "gpt2", **ends, **sizes})
    return GPT2(config), tokenizer


def _loaded(order: Order) -> tuple[GPT2, Tokenizer]:
    if order.sizes:
        raise OptionError("--size is for fresh models, and --model was given", name="size")
    generator = Generator.from_pretrained(str(order.model), dtype="float32")
    model, tokenizer = generator.model, generator.tokenizer
    if not isinstance(model, GPT2) or not isinstance(tokenizer, Tokenizer):
        raise OptionError(f"{order.model}: expected a GPT-2 model", name="model")
    return model, tokenizer


def _made(kind: type[Value], fields: Mapping[str, object]) -> Value:
    """Make a settings value; what is wrong with a field is an `OptionError`."""
    return kind(**fields)


def _print_json(event: Event) -> None:
    kind = type(event).__name__.lower()
    sys.stdout.write(json.dumps({"event": kind, **asdict(event)}, default=str) + "\n")
    sys.stdout.flush()
