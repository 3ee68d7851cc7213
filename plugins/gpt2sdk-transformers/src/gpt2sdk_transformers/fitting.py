"""What a checkpoint holds beside the weights of a network, and what may be left out."""

import re
from typing import TYPE_CHECKING

import torch
from torch import nn

from gpt2sdk import CheckpointError, TensorSource
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
        CheckpointError: If a head is stored that its config ties to other numbers.
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
    if tied is not None:
        head, table = tied
        if not torch.equal(source.read(head), source.read(table)):
            raise CheckpointError(
                f"{source.path}: the config ties the output head to the embedding, but {head} and "
                f'{table} differ: write "tie_word_embeddings": false into its config.json',
                path=source.path,
                unexpected=[head],
            )
        computed.append(head)
    return (source.without(computed) if computed else source), tuple(notes)


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
