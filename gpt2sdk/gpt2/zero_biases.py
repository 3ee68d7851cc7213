"""Biases that a checkpoint leaves out because its model was trained without them.

A model without biases (nanoGPT's `bias=False`) is the one whose biases are zeros, so these are what
is read in their place.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.keys import ANCHOR, Keys
from gpt2sdk.gpt2.layout import parameter_shapes

_KINDS = {
    "matrices": re.compile(r"h\.\d+\.(attn|mlp)\.c_\w+\.bias", re.ASCII),
    "layer norms": re.compile(r"(h\.\d+\.ln_[12]|ln_f)\.bias", re.ASCII),
}


class ZeroBiases(TensorSource):
    """A source, and zeros for biases that are not in it.

    Args:
        source: The tensors that are there.
        biases: The others, by key.
    """

    def __init__(self, source: TensorSource, biases: Mapping[str, TensorInfo]) -> None:
        self._source = source
        self._biases = biases
        self._infos = MappingProxyType({**source.infos, **biases})

    @property
    @override
    def path(self) -> Path:
        return self._source.path

    @property
    @override
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @override
    def nbytes(self, name: str) -> int:
        return 0 if name in self._biases else self._source.nbytes(name)

    @override
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        if name in self._biases:
            return iter((self.read(name),))
        return self._source.slabs(name, dim)

    @override
    def read(self, name: str) -> Tensor:
        info = self._biases.get(name)
        if info is None:
            return self._source.read(name)
        return torch.zeros(info.shape, dtype=getattr(torch, info.dtype))


def absent_biases(
    source: TensorSource, keys: Mapping[str, str], config: GPT2Config
) -> dict[str, tuple[str, ...]]:
    """Return the biases that a model was made without, by what they belong to.

    All of a kind are absent: where some are there, the others are missing.

    Args:
        source: The tensors that are there.
        keys: Their keys, by the names used here.
        config: The model's sizes.
    """
    if ANCHOR not in keys or not hasattr(torch, source.infos[keys[ANCHOR]].dtype):
        return {}
    # Blocks that are not there are missing as a whole.
    modules = {name[:end] for name in keys for end in _dots(name)}
    biases = [name for name in parameter_shapes(config) if name.removesuffix(".bias") in modules]
    return {
        kind: tuple(name for name in biases if pattern.fullmatch(name))
        for kind, pattern in _KINDS.items()
        if not any(map(pattern.fullmatch, keys))
    }


def with_zero_biases(
    source: TensorSource, keys: Keys, absent: Mapping[str, tuple[str, ...]], config: GPT2Config
) -> TensorSource:
    """Return the source, and zeros for the biases that `absent_biases` found."""
    if not absent:
        return source
    shapes = parameter_shapes(config)
    dtype = source.infos[keys.names[ANCHOR]].dtype
    names = (name for each in absent.values() for name in each)
    biases = {keys.prefix + name: TensorInfo(shapes[name], dtype) for name in names}
    return ZeroBiases(source, biases)


def _dots(name: str) -> Iterator[int]:
    return (place for place, letter in enumerate(name) if letter == ".")
