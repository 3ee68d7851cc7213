"""What a generator holds: a model with its tokenizer, which can be looked at and saved."""

from pathlib import Path
from typing import NoReturn

import torch
from pydantic import BaseModel
from torch import nn
from typing_extensions import override

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.language import Language
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.errors import OptionError
from gpt2sdk.files.model_folder import save_model
from gpt2sdk.loading import architecture_of, known_architecture
from gpt2sdk.plugins.registry import Registry

# What tells models apart at a glance.
_SIZES = ("n_layer", "n_head", "n_embd", "vocab_size")


class ModelHolder:
    """Holds one model for its lifetime, in one process.

    Attributes:
        model: What scores tokens.
        tokenizer: Text to tokens and back.
        registry: The installed components.
        quantizer: What holds the model's matrices in fewer bits; `None` for nothing.
        architecture: What loaded the model, and saves it; `None` for a model that was not loaded.
    """

    model: CausalLM
    tokenizer: Language
    registry: Registry
    quantizer: Quantizer | None
    architecture: Architecture | None

    @property
    def device(self) -> torch.device:
        """Where logits come out."""
        return self.model.device

    @property
    def context_length(self) -> int:
        """How many tokens a row may have, its prompt included."""
        return self.model.context_length

    @property
    def config(self) -> BaseModel | None:
        """The model's sizes and switches: of a GPT-2 the `GPT2Config`.

        They are the model's architecture, or what that has as `config`; `None` where no installed
        architecture knows the model.
        """
        found = known_architecture(self.model, self.registry) or self.architecture
        own = dict(found or ()).get("config")
        return own if isinstance(own, BaseModel) else found

    @property
    def dtype(self) -> torch.dtype | None:
        """The type in which the model computes: that of its first floating point parameter.

        `None` for one without parameters. What is quantized has none.
        """
        if not isinstance(self.model, nn.Module):
            return None
        types = (each.dtype for each in self.model.parameters())
        return next((each for each in types if each.is_floating_point), None)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model and tokenizer as a folder in the Hugging Face layout; whole or not at all.

        Quantized matrices are written as they are.

        Raises:
            OptionError: No installed architecture knows the model.
            CheckpointError: The folder cannot be written.
        """
        architecture = architecture_of(self.model, self.registry, self.architecture)
        if not isinstance(self.model, nn.Module):
            kind = type(self.model).__name__
            message = f"the model is a {kind}: expected a torch.nn.Module, whose weights are saved"
            raise OptionError(message, name="model")
        save_model(self.model, architecture, self.tokenizer, folder, quantizer=self.quantizer)

    @override
    def __repr__(self) -> str:
        kind = type(self.model).__name__
        sizes = dict(self.config or ())
        said = [f"{size}={sizes[size]}" for size in _SIZES if size in sizes]
        said.append(f"context_length={self.context_length}")
        parts = [f"{kind}({', '.join(said)})"]
        if self.dtype is not None:
            parts.append(f"dtype={str(self.dtype).removeprefix('torch.')}")
        parts.append(f"device={self.device}")
        if self.quantizer is not None:
            parts.append(f"quantizer={self.quantizer!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @override
    def __reduce__(self) -> NoReturn:
        # Copying and pickling both ask here.
        name = type(self).__name__
        message = (
            f"a {name} is not copied or pickled: threads may share one, and each process loads its "
            f"own with {name}.from_pretrained, in a pool's initializer or an actor's __init__"
        )
        raise TypeError(message)
