"""Tensors under other names than a file has them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import final

from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.tensor_source import TensorInfo, TensorSource


@final
class RenamedSource(TensorSource):
    """Some tensors of a source, each under another name.

    Args:
        source: The tensors.
        names: The name that each is to have, by the one it has; others are left out.
    """

    def __init__(self, source: TensorSource, names: Mapping[str, str]) -> None:
        self._source = source
        self._theirs = {ours: theirs for theirs, ours in names.items()}
        self._infos = MappingProxyType(
            {ours: source.infos[theirs] for ours, theirs in self._theirs.items()}
        )

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
        return self._source.nbytes(self._theirs[name])

    @override
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        return self._source.slabs(self._theirs[name], dim)

    @override
    def read(self, name: str) -> Tensor:
        return self._source.read(self._theirs[name])
