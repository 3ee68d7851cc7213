"""How the modules of a model are called that adapters stand beside."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from gpt2sdk import CausalLM, NetworkLM, OptionError, residency_of
from gpt2sdk.gpt2 import GPT2

AdaptableLM = GPT2 | NetworkLM
"""A GPT-2, or a model around a network of another library."""


@dataclass(frozen=True, slots=True)
class ModuleLayout:
    """The modules of a model by the names that adapters' files have for them.

    Attributes:
        model: The model.
        root: What names are counted from.
        trunk: What PEFT puts before the names of all modules but the head.
        table: The name of the table of tokens.
        head: The name of what makes logits, tied or not.
        tied: Whether the head reads the table.
        width: Width of the residual stream.
    """

    model: AdaptableLM
    root: nn.Module
    trunk: str
    table: str
    head: str
    tied: bool
    width: int

    @classmethod
    def of(cls, model: CausalLM) -> Self:
        """Return a model's layout.

        Raises:
            OptionError: If it is no model that can have adapters.
        """
        if isinstance(model, GPT2):
            tied, width = model.config.tie_word_embeddings, model.config.n_embd
            return cls(model, model, "transformer.", "wte", "lm_head", tied, width)
        if isinstance(model, NetworkLM):
            table, head = model.table_name, model.head_name
            return cls(model, model.network, "", table, head, model.tied, model.width)
        message = f"model: expected a GPT-2 or a model of transformers, got {type(model).__name__}"
        raise OptionError(message, name="model")

    @property
    def foreign(self) -> bool:
        """Whether the network is another library's."""
        return self.root is not self.model

    @property
    def read_past(self) -> frozenset[str]:
        """Modules whose matrices are read past them, so that adapters there would do nothing."""
        return frozenset() if isinstance(self.model, GPT2) else self.model.read_past

    @property
    def layers(self) -> int:
        """How many blocks there are."""
        return self.model.layers

    @property
    def width_name(self) -> str:
        """What configs call the width."""
        return "hidden_size" if self.foreign else "n_embd"

    def device(self, path: str, near: nn.Module) -> torch.device:
        """Return where a module computes, which need not be where its values are now.

        Args:
            path: Its name.
            near: The module.
        """
        if isinstance(self.model, GPT2):
            return self._device_of_gpt2(self.model, path, near)
        model: nn.Module = self.model  # type: ignore[assignment]
        residency = residency_of(model)
        held = [*near.parameters(), *near.buffers()]
        if residency is None:
            return held[0].device if held else self.model.device
        words = f"network.{path}".split(".")
        for end in range(len(words) - 1, 0, -1):
            try:
                return residency.device(".".join(words[:end]))
            except KeyError:
                continue
        # A part by itself is called where the code between parts is.
        return self.model.device

    def _device_of_gpt2(self, model: GPT2, path: str, near: nn.Module) -> torch.device:
        if model.residency is None:
            held = [*near.parameters(), *near.buffers()]
            return held[0].device if held else model.device
        if path == self.head and self.tied:
            # A head that reads the table is where that is.
            path = self.table
        part = ".".join(path.split(".")[:2]) if path.startswith("h.") else path
        return model.residency.device(part)
