"""Where models come from, besides folders in the Hugging Face layout and the hub."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gpt2sdk.components.component import Component
from gpt2sdk.components.tensor_source import TensorSource


class ModelSource(Component):
    """Turns a model's name into a local folder in the Hugging Face layout.

    Sources are asked before local folders and the hub, so a source answers for its own names only.

    Example:
        >>> class Bundled(ModelSource):
        ...     def names(self):
        ...         return ("tiny",)
        ...
        ...     def resolve(self, name):
        ...         return Path("models", name) if name in self.names() else None
        >>> Bundled().resolve("gpt2") is None
        True
    """

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names this source has, for listings and messages."""

    @abstractmethod
    def resolve(self, name: str) -> Path | None:
        """Return the folder (or weight file) of a name, or `None` for a name of someone else's.

        The folder holds `config.json`, weights and tokenizer files. What has to be fetched or
        unpacked first, is when this is called.
        """


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A model that is one file: weights, sizes and tokenizer together.

    Attributes:
        source: Its tensors, under the names of its architecture's checkpoints, as floating point
            numbers.
        config: What its `config.json` would hold: `model_type` and sizes, for the installed
            architectures to claim.
        tokenizer: The texts of the tokenizer's files, by their names in the Hugging Face layout:
            `tokenizer.json`, or `vocab.json` and `merges.txt`.
        notes: What a reader should know, one line each.
    """

    source: TensorSource
    config: Mapping[str, object]
    tokenizer: Mapping[str, str]
    notes: tuple[str, ...] = ()


class CheckpointFormat(Component):
    """Reads models that come as one file of another format.

    Attributes:
        suffix: How the names of its files end: `.gguf`. Of two formats that fit, the one with the
            longer suffix reads a file; two plugins with one suffix are an error.
    """

    suffix: ClassVar[str]

    @abstractmethod
    def open(self, file: Path) -> OpenedFile:
        """Look into a file without reading its weights.

        Raises:
            CheckpointError: If it is damaged, or holds nothing that can be described so.
        """
