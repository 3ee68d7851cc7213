"""Checkpoints in the layout of a model's authors, read as transformers would convert them.

Some networks of transformers keep in one tensor what checkpoints keep in several, as the matrices
of all experts, or name things otherwise. transformers says so for each kind of model, in transforms
of its own; here they are carried out tensor by tensor, when one is asked for.
"""

from collections.abc import Collection, Iterator, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk import CheckpointError, TensorInfo, TensorSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class _Made:
    """A tensor that is made of others.

    Attributes:
        transform: transformers' own, without tensors.
        sources: The pattern and the key of each tensor it is made of, in their order.
        first: The name that stands for all that is made of them.
    """

    transform: Any
    sources: tuple[tuple[str, str], ...]
    first: str


@final
class ConvertedSource(TensorSource):
    """The tensors of a checkpoint under the names and in the shapes of a network.

    What the network has no place for keeps its name. Those that it says are no weights are left
    out.
    """

    def __init__(self, source: TensorSource, network: "PreTrainedModel") -> None:
        """Find out what each tensor is made of; nothing is read.

        Args:
            source: The checkpoint.
            network: Without numbers.

        Raises:
            CheckpointError: If the shapes cannot be converted.
        """
        self._source = source
        self._network = network
        self._plain: dict[str, str] = {}
        self._made: dict[str, _Made] = {}
        infos: dict[str, TensorInfo] = {}
        for first, made in self._sorted(network).items():
            if made is None:
                key = self._plain[first]
                infos[first] = source.infos[key]
                continue
            try:
                tensors = self._converted(made, _hollow)
            except Exception as error:
                raise CheckpointError(
                    f"{source.path}: {first} cannot be made of {len(made.sources)} tensors: "
                    f"{error}",
                    path=source.path,
                ) from error
            for name, tensor in tensors.items():
                self._made[name] = made
                infos[name] = TensorInfo.of(tensor)
        self._infos = MappingProxyType(infos)

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
        if name in self._made:
            return TensorSource.nbytes(self, name)
        return self._source.nbytes(self._plain[name])

    @override
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        if name in self._made:
            yield self.read(name)
        else:
            yield from self._source.slabs(self._plain[name], dim)

    @override
    def read(self, name: str) -> Tensor:
        if name in self._made:
            return self._converted(self._made[name], _whole)[name]
        return self._source.read(self._plain[name])

    def without(self, names: Collection[str]) -> "ConvertedSource":
        """Return the same without some tensors."""
        other = copy(self)
        kept = {name: info for name, info in self._infos.items() if name not in names}
        other._infos = MappingProxyType(kept)  # noqa: SLF001 - its own
        return other

    def _sorted(self, network: "PreTrainedModel") -> dict[str, _Made | None]:
        """Return what is made of others, and `None` for what only has another name."""
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import (
            WeightConverter,
            WeightRenaming,
            dot_natural_key,
            rename_source_key,
        )

        known = network.state_dict()
        transforms = get_model_conversion_mapping(network)
        renamings = [each for each in transforms if isinstance(each, WeightRenaming)]
        converters = [each for each in transforms if isinstance(each, WeightConverter)]
        by_pattern = {pattern: each for each in converters for pattern in each.source_patterns}
        prefix = network.base_model_prefix
        found: dict[str, _Made | None] = {}
        for key in sorted(self._source.infos, key=dot_natural_key):
            name, pattern = rename_source_key(key, renamings, converters, prefix, known)
            if name not in known and key in known:
                name, pattern = rename_source_key(key, [], [], prefix, known)
            if pattern is None or name not in known:
                name = name if name in known else key
                if name in self._plain:
                    raise CheckpointError(
                        f"{self.path}: {self._plain[name]} and {key} are both {name}",
                        path=self.path,
                        unexpected=[key],
                    )
                self._plain[name] = key
                found[name] = None
                continue
            before = found.get(name)
            sources = () if before is None else before.sources
            found[name] = _Made(by_pattern[pattern], (*sources, (pattern, key)), name)
        return found

    def _converted(self, made: _Made, get: Any) -> dict[str, Tensor]:  # noqa: ANN401 - below
        transform = deepcopy(made.transform)
        for pattern, key in made.sources:
            transform.add_tensor(made.first, key, pattern, get(self._source, key))
        tensors = transform.convert(made.first, model=self._network, config=self._network.config)
        return {name: each[0] if isinstance(each, list) else each for name, each in tensors.items()}


def _whole(source: TensorSource, key: str) -> Tensor:
    return source.read(key)


def _hollow(source: TensorSource, key: str) -> Tensor:
    info = source.infos[key]
    return torch.empty(info.shape, dtype=getattr(torch, info.dtype), device="meta")
