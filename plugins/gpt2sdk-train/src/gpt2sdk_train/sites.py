"""The places in a model where an adapter may act."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import torch
from torch import nn

from gpt2sdk import QuantizedTable
from gpt2sdk.gpt2 import GPT2, TiedHead
from gpt2sdk_train.adapted import PLAIN, Adapted, plain

HEAD = "lm_head"
"""The name of the head, tied or not."""


@dataclass(frozen=True, slots=True)
class Site:
    """One module of a model that may have adapters.

    Attributes:
        path: Its name.
        module: The module, or what stands around it and holds its adapters.
        kind: A `matrix`, a `table`, a `norm`, or a `head` that reads the table of tokens.
        inputs: Inputs of a matrix or head, entries of a table, width of a norm.
        outputs: Outputs of a matrix or head, width of a table or norm.
        biased: Whether it has a bias.
    """

    path: str
    module: nn.Module
    kind: Literal["matrix", "table", "norm", "head"]
    inputs: int
    outputs: int
    biased: bool

    @property
    def base(self) -> nn.Module:
        """The module itself."""
        return plain(self.module)

    @property
    def linear(self) -> bool:
        """Whether it is a linear layer of a block."""
        return self.kind == "matrix" and self.path != HEAD

    @property
    def transposed(self) -> bool:
        """Whether files have its matrix `[in, out]`."""
        return f"{self.path}.weight".endswith(GPT2.stored_transposed)


def find_sites(model: GPT2) -> dict[str, Site]:
    """Return the places by their modules' names, adapted or not, in the model's order."""
    return {site.path: site for site in _sites(model)}


def device_of(site: Site, model: GPT2) -> torch.device:
    """Return where a module computes, which need not be where its values are now."""
    part = ".".join(site.path.split(".")[:2]) if site.path.startswith("h.") else site.path
    if model.residency is not None:
        # A head that reads the table is where that is.
        return model.residency.device("wte" if site.kind == "head" else part)
    held = chain(site.base.parameters(), site.base.buffers())
    return next((tensor.device for tensor in held), model.device)


def _sites(model: GPT2) -> Iterator[Site]:
    around = ""
    for path, module in list(model.named_modules()):
        if around and path.startswith(around):
            continue
        if isinstance(module, Adapted):
            around = f"{path}."
        base = plain(module)
        if isinstance(base, PLAIN):
            yield _site(path, module, base, model)


def _site(path: str, module: nn.Module, base: nn.Module, model: GPT2) -> Site:
    config = model.config
    width = config.n_embd
    if isinstance(base, nn.LayerNorm):
        return Site(path, module, "norm", width, width, biased=True)
    if isinstance(base, TiedHead):
        return Site(path, module, "head", width, config.vocab_size, biased=False)
    if isinstance(base, nn.Embedding | QuantizedTable):
        entries = config.n_positions if path == "wpe" else config.vocab_size
        return Site(path, module, "table", entries, width, biased=False)
    inner = config.inner_size
    inputs = inner if path.endswith("mlp.c_proj") else width
    outputs = {"c_attn": 3 * width, "c_fc": inner, HEAD: config.vocab_size}
    last = path.rpartition(".")[2]
    return Site(path, module, "matrix", inputs, outputs.get(last, width), biased=path != HEAD)
