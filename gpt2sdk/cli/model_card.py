"""What a model is, as JSON and as people read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from rich.filesize import decimal
from rich.text import Text

from gpt2sdk.cli.tables import heading, show, table
from gpt2sdk.components.architecture import Architecture
from gpt2sdk.config_files import CONFIG_FILE
from gpt2sdk.loading import OpenedModel
from gpt2sdk.tokenizer.tokenizer import Tokenizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CACHED_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model is.

    Attributes:
        name: What was asked for.
        source: Where it came from: a plugin's `source`, a `folder` or the `hub`.
        path: The folder or weight file that was read.
        revision: The commit, for the hub.
        parameters: How many there are; a tied output head counts once.
        stored_as: The type of the weights in the file, and how they are quantized.
        weight_bytes: What the weights take in memory, by type.
        cache_bytes_per_1000_tokens: What keys and values of 1,000 tokens take, by the type they are
            held in: on a CPU never less than float32.
        cache_bytes_per_row: What a row takes besides, however long it is, by the weights' type.
        tokenizer: Its kind.
        tokenizer_vocab_size: One more than its highest token id.
        special_tokens: Ids by text.
        end_tokens: The ids that end a text.
        notes: What was noticed, one line each.
        config: The model's sizes and switches.
    """

    name: str
    source: str
    path: str
    revision: str | None
    parameters: int
    stored_as: str
    weight_bytes: Mapping[str, int]
    cache_bytes_per_1000_tokens: Mapping[str, int]
    cache_bytes_per_row: Mapping[str, int]
    tokenizer: str
    tokenizer_vocab_size: int
    special_tokens: Mapping[str, int]
    end_tokens: tuple[int, ...]
    notes: tuple[str, ...]
    config: Mapping[str, object]


def describe(opened: OpenedModel) -> ModelCard:
    """Gather what a model's files say.

    Raises:
        TokenizerError: There is no tokenizer, or it cannot be read.
    """
    checkpoint = opened.checkpoint
    architecture = opened.architecture
    parameters = sum(prod(shape) for shape in checkpoint.shapes.values())
    tokenizer = opened.tokenizer()
    ends = opened.end_tokens(tokenizer)
    kind, size = type(tokenizer).__name__, architecture.vocabulary_size()
    if isinstance(tokenizer, Tokenizer):
        kind, size = tokenizer.kind, tokenizer.vocab_size
    dtype = str(checkpoint.file_dtype).removeprefix("torch.")
    return ModelCard(
        name=opened.source.name,
        source=opened.source.kind,
        path=str(opened.source.path),
        revision=opened.source.revision,
        parameters=parameters,
        stored_as=f"{opened.quantizer.name} and {dtype}" if opened.quantizer else dtype,
        weight_bytes={name: parameters * each.itemsize for name, each in _DTYPES.items()},
        cache_bytes_per_1000_tokens={
            name: _cached(architecture, each) for name, each in _DTYPES.items()
        },
        cache_bytes_per_row={name: _states(architecture, each) for name, each in _DTYPES.items()},
        tokenizer=kind,
        tokenizer_vocab_size=size,
        special_tokens=dict(tokenizer.special_tokens),
        end_tokens=ends.ids,
        notes=(*opened.notes, *ends.notes),
        config=architecture.config_files(dtype, None)[CONFIG_FILE],
    )


def show_card(card: ModelCard, architecture: Architecture) -> None:
    """Print what a model is."""
    where = "" if card.path == card.name else card.path
    special = ", ".join(f"{text} {token}" for text, token in card.special_tokens.items())
    states = any(card.cache_bytes_per_row.values())
    rows = [
        ("parameters", f"{card.parameters:,}"),
        ("weights", f"{_sizes(card.weight_bytes)}; stored as {card.stored_as}"),
        *architecture.facts().items(),
        ("vocabulary", f"{architecture.vocabulary_size():,} tokens"),
        ("context", f"{architecture.window():,} tokens"),
        ("tokenizer", f"{card.tokenizer}, {card.tokenizer_vocab_size:,} tokens"),
        ("special tokens", special or "none"),
        ("end tokens", ", ".join(map(str, card.end_tokens)) or "none"),
        ("cache", f"{_sizes(card.cache_bytes_per_1000_tokens)} per 1,000 tokens"),
        *([("states", f"{_sizes(card.cache_bytes_per_row)} of each row")] if states else []),
        *(("note", note) for note in card.notes),
    ]
    about = ", ".join(filter(None, [card.source, where, card.revision]))
    show(heading(card.name, about), table([(Text(title, style="dim"), is_) for title, is_ in rows]))


def _cached(architecture: Architecture, dtype: torch.dtype) -> int:
    """Return what the cache of many tokens takes where it has the weights' type."""
    device, parts = torch.device("meta"), architecture.parts()
    return _CACHED_TOKENS * sum(architecture.cache_nbytes(part, dtype, device) for part in parts)


def _states(architecture: Architecture, dtype: torch.dtype) -> int:
    """Return what is kept of each row, however long it is."""
    device, parts = torch.device("meta"), architecture.parts()
    return sum(architecture.row_nbytes(part, dtype, device) for part in parts)


def _sizes(by_type: Mapping[str, int]) -> str:
    """Say how much memory something takes in each type.

    >>> _sizes({"float32": 4000, "bfloat16": 2000, "float16": 2000})
    '4.0 kB in float32, 2.0 kB in bfloat16 or float16'
    """
    by_size: dict[int, list[str]] = {}
    for dtype, size in by_type.items():
        by_size.setdefault(size, []).append(dtype)
    return ", ".join(f"{decimal(size)} in {' or '.join(them)}" for size, them in by_size.items())
