"""What a checkpoint holds beside the weights of a network, and what may be left out."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk import CheckpointError, TensorInfo, TensorSource
from gpt2sdk_transformers.exposed import read_past
from gpt2sdk_transformers.network import SharedHead, lasting_buffers, name_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from gpt2sdk_transformers.conversion import ConvertedSource

# Numbers that older versions stored and every version computes.
_COMPUTED = re.compile(
    r"(rotary_emb\.(inv_freq|cos_cached|sin_cached)|attn\.(masked_)?bias|attention\.(masked_)?bias"
    r"|embed_positions\.weights|rope\.freqs)$"
)


def without_repeated(
    source: "ConvertedSource", network: "PreTrainedModel"
) -> tuple[TensorSource, tuple[str, ...]]:
    """Leave out what is no weight, and a tied head that is stored once more.

    Returns:
        The others, and what was noticed.

    Raises:
        CheckpointError: If a head is stored that its config ties to another shape.
    """
    ignored = [re.compile(each) for each in network._keys_to_ignore_on_load_unexpected or ()]  # noqa: SLF001 - transformers'
    known = {name for name, _ in network.named_parameters()} | set(network.state_dict())
    computed = [
        name
        for name in source.infos
        if name not in known
        and (_COMPUTED.search(name) or any(each.search(name) for each in ignored))
    ]
    notes = [f"{len(computed)} keys that are no weights were left out"] if computed else []
    # Of a module that stands in several layers, each may have been stored.
    once = {name for name, _ in (*network.named_parameters(), *lasting_buffers(network))}
    repeated = set(network.state_dict()) - once
    computed += [name for name in source.infos if name in repeated]
    tied = _tied_head(source, network)
    left: TensorSource = source.without([*computed, *(tied or ())[:1]])
    return (left if tied is None else RepeatedTable(left, source, *tied)), tuple(notes)


@final
class RepeatedTable(TensorSource):
    """The tensors of a tied model that also stores its head, which has to be the table once more.

    They are compared while the table is read; who only looks at names and shapes reads neither.
    """

    def __init__(self, left: TensorSource, every: TensorSource, head: str, table: str) -> None:
        """Make them of those with and without the head.

        Args:
            left: Without the head.
            every: With it.
            head: Its name.
            table: The table's.

        Raises:
            CheckpointError: If their shapes or types differ.
        """
        self._left, self._every, self._head, self._table = left, every, head, table
        if every.infos[head] != every.infos[table]:
            raise self._another()

    @property
    @override
    def path(self) -> Path:
        return self._left.path

    @property
    @override
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._left.infos

    @override
    def nbytes(self, name: str) -> int:
        return self._left.nbytes(name)

    @override
    def slabs(self, name: str, dim: int = 0) -> Iterator[Tensor]:
        if name != self._table:
            yield from self._left.slabs(name, dim)
            return
        both = (self._every.slabs(each, dim) for each in (name, self._head))
        for slab, again in zip(*both, strict=True):
            if not torch.equal(slab, again):
                raise self._another()
            yield slab

    @override
    def read(self, name: str) -> Tensor:
        return super().read(name) if name == self._table else self._left.read(name)

    def _another(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: the config ties the output head to the embedding, but {self._head} and "
            f'{self._table} differ: write "tie_word_embeddings": false into its config.json',
            path=self.path,
            unexpected=[self._head],
        )


def check_read_past(source: TensorSource, network: nn.Module) -> None:
    """Make sure that nothing is quantized whose numbers the network reads by itself.

    Raises:
        CheckpointError: If something is; the message says which modules to skip.
    """
    for path in sorted(read_past(network)):
        beside = (f"{path}.weight.", f"{path}.SCB")
        found = [name for name in source.infos if name.startswith(beside)]
        if found:
            raise CheckpointError(
                f"{source.path}: {path} is quantized, and this network reads its matrix past the "
                f'module: expected it plain, as llm_int8_skip_modules=["lm_head", '
                f'"{path.rpartition(".")[2]}"] of BitsAndBytesConfig leaves it',
                path=source.path,
                unexpected=found,
            )


def _tied_head(source: TensorSource, network: "PreTrainedModel") -> tuple[str, str] | None:
    """Return the names of a stored head and of the table that it repeats."""
    head = network.get_output_embeddings()
    if not isinstance(head, SharedHead):
        return None
    pair = f"{name_of(network, head)}.weight", f"{head.table_name}.weight"
    return pair if all(name in source.infos for name in pair) else None
