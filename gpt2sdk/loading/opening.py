"""A model whose files were looked at, and whose weights were not read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.checkpoint import Checkpoint, QuantizedInfos
from gpt2sdk.components.end_names import NamedEnds
from gpt2sdk.components.language import Language
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.tensor_source import TensorSource
from gpt2sdk.components.weights import CheckpointFormat, OpenedFile
from gpt2sdk.config_files import ConfigFiles
from gpt2sdk.errors import CheckpointError, TokenizerError, listing
from gpt2sdk.files.model_files import open_files
from gpt2sdk.files.model_folder import QUANTIZATION_CONFIG
from gpt2sdk.files.renamed_source import RenamedSource
from gpt2sdk.loading.claims import (
    claimed_architecture,
    claimed_quantizer,
    format_of,
    translated,
)
from gpt2sdk.loading.failures import naming
from gpt2sdk.loading.location import Hub, Provenance, locate
from gpt2sdk.loading.lookup import installed_sources, plan_matrix
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.tokenizer.end_tokens import EndTokens, find_end_tokens
from gpt2sdk.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model that is found and fits together.

    Attributes:
        source: Where it came from.
        checkpoint: Its weights, ready to be read.
        config: What its config files say, in their own words.
        quantizer: What reads them, where they are quantized.
        texts: The texts of its tokenizer's files; `None` where these lie in its folder.
        notes: What was noticed, one line each.
    """

    source: Provenance
    checkpoint: Checkpoint[Architecture]
    config: ConfigFiles
    quantizer: Quantizer | None
    texts: Mapping[str, str] | None
    notes: tuple[str, ...]

    @property
    def architecture(self) -> Architecture:
        """What it is."""
        return self.checkpoint.architecture

    @property
    def folder(self) -> Path:
        """What holds its files."""
        path = self.source.path
        return path if path.is_dir() else path.parent

    def tokenizer(self) -> Language:
        """Read its tokenizer.

        Raises:
            TokenizerError: If there is none, it cannot be read, or it is another model's.
        """
        if self.texts is not None:
            tokenizer = Tokenizer.from_texts(self.texts)
        else:
            own = self.architecture.tokenizer(self.folder)
            if own is not None:
                return own
            tokenizer = Tokenizer.from_folder(self.folder)
        check_tokenizer(tokenizer, self.architecture.vocabulary_size())
        return tokenizer

    def end_tokens(self, tokenizer: Language) -> EndTokens:
        """Gather the tokens that end a text, by its files and its tokenizer.

        Raises:
            CheckpointError: If a file names tokens that are none.
        """
        if self.config.model_args is not None:
            # What these mean, the architecture knows alone.
            return find_end_tokens(self.architecture.end_names(), tokenizer)
        named = NamedEnds.of(self.config, self.architecture.vocabulary_size())
        return find_end_tokens(named, tokenizer)


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
        opened = _translated(_open_file(how, source.path), registry)
        config = ConfigFiles(opened.config, source.path)
        checkpoint = fit(claimed_architecture(config, registry), opened.source)
        notes = (*opened.notes, *checkpoint.notes)
        return OpenedModel(source, checkpoint, config, None, opened.tokenizer, notes)
    return _open_folder(source, registry, device or torch.device("cpu"))


def check_tokenizer(tokenizer: Tokenizer, vocab_size: int) -> None:
    """Make sure that every token has a row in the model that texts or calls may need.

    Special tokens without a role may lie beyond its rows: a model of texts shares the tokenizer of
    one that reads images, whose tokens no text becomes.

    Args:
        tokenizer: The tokenizer.
        vocab_size: How many rows the model has.

    Raises:
        TokenizerError: If the tokenizer has other tokens beyond those of the model.
    """
    if all(map(tokenizer.is_idle, range(vocab_size, tokenizer.vocab_size))):
        return
    beyond = [text for text, token in tokenizer.special_tokens.items() if token >= vocab_size]
    added = f", among them the added {listing(beyond)}" if beyond else ""
    raise TokenizerError(
        f"the tokenizer has {tokenizer.vocab_size} tokens{added}, the model {vocab_size}: "
        "expected the tokenizer that the model was trained with"
    )


def fit(
    architecture: Architecture, source: TensorSource, quantized: QuantizedInfos | None = None
) -> Checkpoint[Architecture]:
    """Let an architecture find its weights; whatever it does wrong carries its name.

    Raises:
        CheckpointError: If they don't fit.
        PluginContractError: If the architecture fails.
    """
    with naming(architecture, f"failed on {source.path}"):
        return architecture.fit(source, quantized)


def _open_file(how: CheckpointFormat, file: Path) -> OpenedFile:
    with naming(how, f"failed on {file}"):
        return how.open(file)


def _translated(opened: OpenedFile, registry: Registry) -> OpenedFile:
    """Return a file in the words of its architecture."""
    if opened.words is None:
        return opened
    found = translated(opened.words, registry)
    source = RenamedSource(opened.source, found.names)
    return replace(opened, source=source, config={**opened.config, **found.config}, words=None)


def _open_folder(source: Provenance, registry: Registry, device: torch.device) -> OpenedModel:
    path = source.path
    folder = path if path.is_dir() else path.parent
    hint = registry.remedy(path.suffix.removeprefix(".")) if path.is_file() else ""
    if hint:
        raise CheckpointError(f"{path}: none of the installed formats reads it: {hint}", path=path)
    files = open_files(path)
    config = files.config
    described = config.values.get(QUANTIZATION_CONFIG)
    plain = {key: value for key, value in config.values.items() if key != QUANTIZATION_CONFIG}
    config = replace(config, values=plain)
    architecture = claimed_architecture(config, registry)
    tensors = files.open()
    quantizer: Quantizer | None = None
    notes: tuple[str, ...] = ()
    if described is None:
        checkpoint = fit(architecture, tensors)
    elif not isinstance(described, dict):
        raise CheckpointError(
            f"{folder}: expected {QUANTIZATION_CONFIG} in the config to be a mapping that says how "
            f"the weights are quantized, found {described!r}",
            path=folder,
        )
    else:
        try:
            quantizer = claimed_quantizer(described, registry, folder)
        except CheckpointError as unread:
            checkpoint = _plain(architecture, tensors, unread)
            method = described.get("quant_method", "a method that is not named")
            note = (
                f"the config says {method}, but nothing is quantized: the weights are plain numbers"
            )
            notes = (note,)
        else:
            quantizer = quantizer.fitted(tensors.infos)
            checkpoint = fit(architecture, tensors, _stored(quantizer, architecture, device))
    return OpenedModel(source, checkpoint, config, quantizer, None, (*notes, *checkpoint.notes))


def _plain(
    architecture: Architecture, tensors: TensorSource, unread: CheckpointError
) -> Checkpoint[Architecture]:
    """Return a checkpoint that is not quantized, whatever its config says.

    Some quantizers of transformers know `nn.Linear` only and pass GPT-2's `Conv1D` by, so that
    there is nothing to read but the weights.

    Raises:
        CheckpointError: `unread`, if the weights are quantized after all.
    """
    try:
        return fit(architecture, tensors)
    except CheckpointError:
        raise unread from None


def _stored(
    quantizer: Quantizer, architecture: Architecture, device: torch.device
) -> QuantizedInfos:
    """Return which tensors a quantized checkpoint must have, by parameter and suffix."""
    plans = {
        matrix.name: plan_matrix(quantizer, matrix, device)
        for matrix in architecture.matrices(architecture.weight_dtype() or torch.float32)
    }
    return {name: plan.stored for name, plan in plans.items() if plan is not None}
