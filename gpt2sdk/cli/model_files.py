"""A model's files, found as for a call; no weights are read."""

from dataclasses import dataclass
from pathlib import Path

from gpt2sdk.components.weights import ModelSource
from gpt2sdk.config import GPT2Config
from gpt2sdk.loading import Hub, Provenance, locate
from gpt2sdk.plugins.registry import Registry


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model is, and its sizes.

    Attributes:
        source: Where it came from.
        folder: What holds its files.
        config: Its sizes.
    """

    source: Provenance
    folder: Path
    config: GPT2Config


def find_model(
    name: str, registry: Registry, *, revision: str | None = None, offline: bool = False
) -> ModelFiles:
    """Find a model: an installed one, a folder, or one of the hub, which is fetched.

    Raises:
        CheckpointError: It is not found, or its configuration cannot be read.
        PluginConflictError: Two installed models have this name.
    """
    installed = [offer.component() for offer in registry.offers(ModelSource)]
    sources = [source for source in installed if isinstance(source, ModelSource)]
    hub = Hub(revision=revision, local_files_only=offline)
    source = locate(name, hub=hub, sources=sources)
    folder = source.path if source.path.is_dir() else source.path.parent
    return ModelFiles(source, folder, GPT2Config.from_folder(folder))
