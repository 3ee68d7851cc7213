"""The part of a model that training changes: its parameters, and how they become files."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import torch
from torch import nn
from typing_extensions import override

from gpt2sdk import OptionError, Tokenizer
from gpt2sdk.gpt2 import GPT2, open_checkpoint, save_pretrained
from gpt2sdk_train.adapters import Adapters
from gpt2sdk_train.module_layout import AdaptableLM, ModuleLayout


class Weights(Protocol):
    """What a checkpoint holds of a model."""

    def describe(self) -> dict[str, object]:
        """Say what it is, as JSON has it: what has to be the same when a run goes on."""

    def save(self, folder: Path) -> None:
        """Write the weights into an existing folder.

        Raises:
            CheckpointError: If they cannot be written.
        """

    def load(self, folder: Path) -> None:
        """Put the weights of a folder into the model.

        Raises:
            CheckpointError: If they cannot be read, or do not fit.
        """


@dataclass(frozen=True, slots=True)
class ModelWeights(Weights):
    """All of a model's weights: a folder that `Generator.from_pretrained` loads."""

    model: GPT2
    tokenizer: Tokenizer

    @override
    def describe(self) -> dict[str, object]:
        return {"kind": "all of the model"}

    @override
    def save(self, folder: Path) -> None:
        save_pretrained(self.model, self.model.config, self.tokenizer, folder)

    @override
    @torch.no_grad()
    def load(self, folder: Path) -> None:
        checkpoint = open_checkpoint(folder, self.model.config)
        for name, parameter in self.model.named_parameters():
            parameter.copy_(checkpoint.read(name, device=parameter.device, dtype=parameter.dtype))


@dataclass(frozen=True, slots=True)
class AdapterWeights(Weights):
    """One adapter's values: a folder that PEFT loads."""

    adapters: Adapters
    name: str

    @override
    def describe(self) -> dict[str, object]:
        parts = self.adapters.parts(self.name).items()
        return {"kind": "an adapter", "adapter": {path: part.describe() for path, part in parts}}

    @override
    def save(self, folder: Path) -> None:
        self.adapters.save(self.name, folder)

    @override
    def load(self, folder: Path) -> None:
        self.adapters.restore(self.name, folder)


def trained_part(
    model: AdaptableLM, tokenizer: Tokenizer, frozen: tuple[str, ...]
) -> tuple[Weights, dict[str, nn.Parameter]]:
    """Choose what is trained: a model's adapter if it has one, else all of the model.

    Args:
        model: The model.
        tokenizer: What is saved with all of it.
        frozen: Parameters that stay as they are, as patterns with `*`, `?` and `[…]`.

    Returns:
        What checkpoints hold, and the parameters that are trained, by name.

    Raises:
        OptionError: If a pattern matches no parameter, nothing is left to train, adapters are
            merged, or not exactly one of several is set to be trained.
    """
    parameters = dict(ModuleLayout.of(model).root.named_parameters())
    adapters = Adapters(model)
    adapters.check_trainable()
    candidates = parameters
    weights: Weights
    if not adapters.names:
        if not isinstance(model, GPT2):
            raise OptionError(
                "all weights are trained of GPT-2 models only: add an adapter to this one "
                "(--lora rank=8, or Adapters(model).add) and train that; transformers' Trainer "
                "trains model.network",
                name="model",
            )
        weights = ModelWeights(model, tokenizer)
    else:
        weights = AdapterWeights(adapters, adapters.trained)
        own = {
            id(p) for part in adapters.parts(adapters.trained).values() for p in part.parameters()
        }
        candidates = {name: p for name, p in parameters.items() if id(p) in own}
    _check_patterns(frozen, parameters)
    chosen = {
        name: parameter
        for name, parameter in candidates.items()
        if not any(fnmatchcase(name, pattern) for pattern in frozen)
    }
    if not chosen:
        raise OptionError("nothing is left to train: every parameter is frozen", name="freeze")
    return weights, chosen


def _check_patterns(frozen: tuple[str, ...], parameters: Mapping[str, nn.Parameter]) -> None:
    for pattern in frozen:
        if not any(fnmatchcase(name, pattern) for name in parameters):
            raise OptionError(
                f"freeze={pattern!r} matches no parameter; they are called like "
                f"{next(iter(parameters))} or {list(parameters)[-1]}",
                name="freeze",
                value=pattern,
                expected="a pattern of parameters' names",
            )
