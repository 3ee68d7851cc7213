"""What `gpt2sdk train` does once its arguments are read."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import typer
from accelerate import PartialState  # type: ignore[import-untyped]

from gpt2sdk import Component, Generator, GPT2Config, NetworkLM, OptionError, Tokenizer
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train.adapters import Adapters
from gpt2sdk_train.bpe import train_tokenizer
from gpt2sdk_train.checkpoints import TrainingCheckpoints
from gpt2sdk_train.documents import read_documents
from gpt2sdk_train.events import Event, Observer
from gpt2sdk_train.log_file import json_line
from gpt2sdk_train.lora import LoRA
from gpt2sdk_train.module_layout import AdaptableLM
from gpt2sdk_train.progress_bar import ProgressBar
from gpt2sdk_train.resumption import earlier_checkpoint
from gpt2sdk_train.tensorboard_log import TensorBoardLog
from gpt2sdk_train.training import CHECKPOINTS, train
from gpt2sdk_train.training_settings import TrainingSettings

Value = TypeVar("Value", bound=Component)

# What shells report of a program that Ctrl-C ended.
_INTERRUPTED = 130
_ADAPTER = "adapter"
# A model that an hour on two cores can train.
_SMALL = {"vocab_size": 4096, "n_positions": 256, "n_embd": 256, "n_layer": 6, "n_head": 4}


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was asked for.

    Attributes:
        texts: Files and folders of text.
        validation: The same, not trained on.
        output: The folder of the run.
        model: What is trained further; `None` for a fresh model.
        settings: Fields of `TrainingSettings`.
        sizes: Fields of a fresh model's config.
        lora: Fields of `LoRA`; `None` trains the weights themselves.
        adapter: The folder of an adapter that is trained further; `None` for none.
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
    adapter: Path | None
    resume: bool
    tensorboard: bool
    as_json: bool


def carry_out(arguments: Arguments) -> None:
    """Train as asked, and say where the result is.

    Raises:
        OptionError: A setting, a file or the folder does not fit.
        typer.Exit: The user interrupted it; everything is saved.
    """
    settings = _made(TrainingSettings, arguments.settings)
    lora = (
        None
        if arguments.lora is None
        else _made(LoRA, {"base_model": arguments.model, **arguments.lora})
    )
    _check_contradictions(arguments)
    earlier_checkpoint(TrainingCheckpoints(arguments.output / CHECKPOINTS), resume=arguments.resume)
    documents = read_documents(*arguments.texts)
    validation = read_documents(*arguments.validation) if arguments.validation else []
    model, tokenizer = (
        _fresh(arguments, documents) if arguments.model is None else _loaded(arguments)
    )
    if lora is not None:
        Adapters(model).add(_ADAPTER, lora, seed=settings.seed)
    if arguments.adapter is not None:
        Adapters(model).load(arguments.adapter, _ADAPTER, trainable=True)
    observers: list[Observer] = [_print_json if arguments.as_json else ProgressBar()]
    if arguments.tensorboard:
        observers.append(TensorBoardLog(arguments.output / "tensorboard"))
    result = train(
        model,
        tokenizer,
        documents,
        settings,
        output=arguments.output,
        validation=validation,
        observers=observers,
        resume=arguments.resume,
    )
    if not arguments.as_json and PartialState().is_main_process:
        hint = " (--resume goes on)" if result.reason == "interrupted" else ""
        sys.stdout.write(f"{result.reason} after {result.step} steps: {result.folder}{hint}\n")
    if result.reason == "interrupted":
        raise typer.Exit(_INTERRUPTED)


def _check_contradictions(arguments: Arguments) -> None:
    if arguments.sizes and arguments.model is not None:
        raise OptionError("--size is for fresh models, and --model was given", name="size")
    if arguments.lora is not None and arguments.adapter is not None:
        raise OptionError("--lora makes an adapter, and --adapter has one: give one of them")
    for name, value in (("lora", arguments.lora), ("adapter", arguments.adapter)):
        if value is not None and arguments.model is None:
            raise OptionError(
                f"--{name} trains an adapter of a model: give that as --model", name=name
            )


def _fresh(arguments: Arguments, documents: list[str]) -> tuple[GPT2, Tokenizer]:
    sizes = {**_SMALL, **arguments.sizes}
    tokenizer = train_tokenizer(documents, vocab_size=_config(sizes).vocab_size)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    # A short text gives fewer tokens than were wanted.
    config = _config({**ends, **sizes, "vocab_size": tokenizer.vocab_size})
    return GPT2(config), tokenizer


def _config(fields: Mapping[str, object]) -> GPT2Config:
    make: Callable[..., GPT2Config] = GPT2Config
    return make(**fields)


def _loaded(arguments: Arguments) -> tuple[AdaptableLM, Tokenizer]:
    generator = Generator.from_pretrained(str(arguments.model), dtype="float32")
    model, tokenizer = generator.model, generator.tokenizer
    if not isinstance(model, GPT2 | NetworkLM) or not isinstance(tokenizer, Tokenizer):
        raise OptionError(
            f"{arguments.model}: expected a GPT-2 model or one of transformers", name="model"
        )
    return model, tokenizer


def _made(kind: type[Value], fields: Mapping[str, object]) -> Value:
    """Make a settings value; what is wrong with a field is an `OptionError`."""
    return kind(**fields)


def _print_json(event: Event) -> None:
    sys.stdout.write(f"{json_line(event)}\n")
    sys.stdout.flush()
