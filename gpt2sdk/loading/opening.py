"""A model whose files were looked at, and whose weights were not read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.components.weights import CheckpointFormat, OpenedFile
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import (
    CheckpointError,
    TokenizerError,
    listing,
)
from gpt2sdk.gpt2.checkpoint import Checkpoint, fit_checkpoint, open_files
from gpt2sdk.gpt2.export import QUANTIZATION_CONFIG
from gpt2sdk.gpt2.matrices import model_matrices
from gpt2sdk.gpt2.tokenizer import Tokenizer
from gpt2sdk.loading.choice import (
    claimed_quantizer,
    format_of,
    installed_sources,
    plan_matrix,
)
from gpt2sdk.loading.failures import naming
from gpt2sdk.loading.location import Hub, Provenance, locate
from gpt2sdk.plugins.registry import Registry


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model that is found and fits together.

    Attributes:
        source: Where it came from.
        checkpoint: Its weights, ready to be read.
        quantizer: What reads them, where they are quantized.
        texts: The texts of its tokenizer's files; `None` where these lie in its folder.
        notes: What was noticed, one line each.
    """

    source: Provenance
    checkpoint: Checkpoint
    quantizer: Quantizer | None
    texts: Mapping[str, str] | None
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """What holds its files."""
        path = self.source.path
        return path if path.is_dir() else path.parent

    def tokenizer(self) -> Tokenizer:
        """Read its tokenizer.

        Raises:
            TokenizerError: If there is none, it cannot be read, or it is another model's.
        """
        if self.texts is None:
            tokenizer = Tokenizer.from_folder(self.folder)
        else:
            tokenizer = Tokenizer.from_texts(self.texts)
        check_tokenizer(tokenizer, self.checkpoint.config)
        return tokenizer


def open_model(
    name: str | Path,
    *,
    registry: Registry,
    hub: Hub | None = None,
    device: torch.device | None = None,
) -> OpenedModel:
    """Find a model and look at its files; no weights are read.

    Args:
        name: A model source's, a local folder or file, or a hub id.
        registry: Where sources, formats and quantizers are looked for.
        hub: How to reach the hub.
        device: Where it will compute; the CPU by default.

    Raises:
        CheckpointError: If it is not found, its files don't fit together, or nothing that is
            installed reads them.
        PluginConflictError: If several plugins read such files, or have a model of this name.
    """
    source = locate(name, hub=hub, sources=installed_sources(registry))
    how = format_of(source.path, registry)
    if how is not None:
        opened = _open_file(how, source.path)
        checkpoint = fit_checkpoint(opened.source, opened.config)
        return OpenedModel(
            source, checkpoint, None, opened.tokenizer, (*opened.notes, *checkpoint.notes)
        )
    return _open_folder(source, registry, device or torch.device("cpu"))


def check_tokenizer(tokenizer: Tokenizer, config: GPT2Config) -> None:
    """Make sure that every token has a row in the model.

    Raises:
        TokenizerError: If the tokenizer has more tokens than the model.
    """
    if tokenizer.vocab_size <= config.vocab_size:
        return
    beyond = [
        text for text, token in tokenizer.special_tokens.items() if token >= config.vocab_size
    ]
    added = f", among them the added {listing(beyond)}" if beyond else ""
    raise TokenizerError(
        f"the tokenizer has {tokenizer.vocab_size} tokens{added}, the model {config.vocab_size}: "
        "expected the tokenizer that the model was trained with"
    )


def _open_file(how: CheckpointFormat, file: Path) -> OpenedFile:
    with naming(how, f"failed on {file}"):
        return how.open(file)


def _open_folder(source: Provenance, registry: Registry, device: torch.device) -> OpenedModel:
    path = source.path
    folder = path if path.is_dir() else path.parent
    hint = registry.remedy(path.suffix.removeprefix(".")) if path.is_file() else ""
    if hint:
        raise CheckpointError(f"{path}: none of the installed formats reads it: {hint}", path=path)
    files = open_files(path)
    config = files.config
    described = config.extra.get(QUANTIZATION_CONFIG)
    if described is None:
        checkpoint = fit_checkpoint(files.source, config, notes=files.notes)
        return OpenedModel(source, checkpoint, None, None, checkpoint.notes)
    if not isinstance(described, dict):
        raise CheckpointError(
            f"{folder}: expected {QUANTIZATION_CONFIG} in the config to be a mapping that says how "
            f"the weights are quantized, found {described!r}",
            path=folder,
        )
    extra = {key: value for key, value in config.extra.items() if key != QUANTIZATION_CONFIG}
    config = config.model_copy(update={"extra": extra})
    try:
        quantizer = claimed_quantizer(dict(described), registry, folder)
    except CheckpointError as unread:
        checkpoint = _plain(files.source, config, unread)
        method = described.get("quant_method", "a method that is not named")
        note = f"the config says {method}, but nothing is quantized: the weights are plain numbers"
        return OpenedModel(source, checkpoint, None, None, (note, *checkpoint.notes))
    quantizer = quantizer.fitted(files.source.infos)
    checkpoint = fit_checkpoint(files.source, config, _stored(quantizer, config, device))
    return OpenedModel(source, checkpoint, quantizer, None, checkpoint.notes)


def _plain(tensors: TensorSource, config: GPT2Config, unread: CheckpointError) -> Checkpoint:
    """Return a checkpoint that is not quantized, whatever its config says.

    Some quantizers of transformers know `nn.Linear` only and pass GPT-2's `Conv1D` by, so that
    there is nothing to read but the weights.

    Raises:
        CheckpointError: `unread`, if the weights are quantized after all.
    """
    try:
        return fit_checkpoint(tensors, config)
    except CheckpointError:
        raise unread from None


def _stored(
    quantizer: Quantizer, config: GPT2Config, device: torch.device
) -> dict[str, Mapping[str, TensorInfo]]:
    """Return which tensors a quantized checkpoint must have, by parameter and suffix."""
    dtype = getattr(torch, config.dtype or "float32")
    plans = {
        matrix.name: plan_matrix(quantizer, matrix, device)
        for matrix in model_matrices(config, dtype)
    }
    return {name: plan.stored for name, plan in plans.items() if plan is not None}
