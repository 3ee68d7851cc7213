"""A GPT-2's sizes and a checkpoint's tensors, brought together."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch

from gpt2sdk.components.checkpoint import Layout, QuantizedInfos, StoredParameter, entry_slabs
from gpt2sdk.components.tensor_source import TensorSource
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import CheckpointError, listing
from gpt2sdk.gpt2.keys import EMBEDDING, HEAD, Keys, sort_keys
from gpt2sdk.gpt2.layout import find_layout
from gpt2sdk.gpt2.zero_biases import absent_biases, with_zero_biases
from gpt2sdk.network_keys import foreign_code, unknown_keys


@dataclass(frozen=True, slots=True)
class Fit:
    """Sizes and weights that belong together.

    Attributes:
        config: The sizes; where the file contradicts its ties, these follow the file.
        source: The tensors, and zeros for biases that the model was made without.
        layout: Where each parameter lies there.
        notes: What was noticed, one line each.
    """

    config: GPT2Config
    source: TensorSource
    layout: Layout
    notes: tuple[str, ...]


def fit_weights(
    source: TensorSource,
    config: GPT2Config,
    quantized: QuantizedInfos | None = None,
) -> Fit:
    """Check that the tensors of any source fit a config, and follow them in what is tied.

    Args:
        source: The tensors.
        config: The sizes.
        quantized: What is to be found in place of quantized parameters: their tensors by suffix.

    Raises:
        CheckpointError: If keys don't fit the config.
    """
    keys = sort_keys(source)
    _check_repeated(source, keys)
    absent = absent_biases(source, keys.names, config)
    if absent:
        source = with_zero_biases(source, keys, absent, config)
        keys = sort_keys(source)
    layout = find_layout(source, keys, config, quantized)
    noted = [*_config_notes(config), *_notes(keys, absent)]
    head = layout.entries.get(HEAD)
    if config.tie_word_embeddings and head is not None:
        if _same(source, layout.entries[EMBEDDING], head):
            entries = {name: entry for name, entry in layout.entries.items() if name != HEAD}
            layout = replace(layout, entries=entries)
        else:
            config = config.model_copy(update={"tie_word_embeddings": False})
            noted.append("the output head differs from the embedding, so they are not tied")
    return Fit(config, source, layout, tuple(noted))


def _check_repeated(source: TensorSource, keys: Keys) -> None:
    """Make sure that keys of one parameter hold the same numbers; more than that loses nothing."""
    for name, others in keys.repeated.items():
        key = keys.names[name]
        for other in others:
            alike = source.infos[key] == source.infos[other]
            if not alike or not _same(source, StoredParameter(key), StoredParameter(other)):
                raise CheckpointError(
                    f"{source.path}: {key} and {other} are the same parameter with different "
                    "numbers, expected one",
                    path=source.path,
                    unexpected=[other],
                )


def _config_notes(config: GPT2Config) -> Iterator[str]:
    unknown = list(unknown_keys(config.extra))
    if unknown:
        yield (
            f"the config has keys that are not known here: {listing(unknown)}: they are kept and "
            "change nothing"
        )
    code = foreign_code(config.extra)
    if code:
        yield (
            f"the config names code that comes with the checkpoint (auto_map: {code}): it is never "
            "run, and the weights are read as a plain GPT-2's"
        )


def _notes(keys: Keys, absent: Collection[str]) -> Iterator[str]:
    if keys.masks:
        yield f"{len(keys.masks)} keys that are no weights were left out"
    if keys.heads:
        yield f"heads beside the language model's were left out: {listing(keys.heads)}"
    if absent:
        yield f"the checkpoint has no biases of its {' and '.join(absent)}: they are zeros"


def _same(source: TensorSource, one: StoredParameter, other: StoredParameter) -> bool:
    """Whether two parameters of one shape hold the same numbers."""
    if one.key == other.key:
        return True
    pairs = zip(entry_slabs(source, one), entry_slabs(source, other), strict=True)
    return all(torch.equal(left.to(right.dtype), right) for left, right in pairs)
