"""Where models come from, besides folders in the Hugging Face layout and the hub."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gpt2sdk.components.component import Component
from gpt2sdk.components.tensor_source import TensorInfo, TensorSource


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
class FormatWords:
    """What a file of another format says in its own words, for architectures to translate.

    Attributes:
        format: What the format is called: `gguf`.
        model_type: What the file calls the architecture.
        settings: Its settings, by their names there.
        tensors: Its tensors, by their names there.
        path: The file.
    """

    format: str
    model_type: str
    settings: Mapping[str, object]
    tensors: Mapping[str, TensorInfo]
    path: Path

    def whole_number(self, name: str) -> int | None:
        """Return a setting that is a whole number, or `None`."""
        value = self.settings.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, name: str) -> float | None:
        """Return a setting that is a number, or `None`."""
        value = self.settings.get(name)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True)
class TranslatedFile:
    """What a file says, in an architecture's own words.

    Attributes:
        config: What its `config.json` would hold.
        names: For each tensor of the file the name that it has in checkpoints of the architecture;
            what is left out is not read.
    """

    config: Mapping[str, object]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A model that is one file: weights, sizes and tokenizer together.

    Attributes:
        source: Its tensors as floating point numbers: under the names of its architecture's
            checkpoints, or where there are `words`, under those of the file.
        config: What its `config.json` would hold: `model_type` and sizes, for the installed
            architectures to claim; where there are `words`, what the format knows without them.
        tokenizer: The texts of the tokenizer's files, by their names in the Hugging Face layout:
            `tokenizer.json`, or `vocab.json` and `merges.txt`.
        notes: What a reader should know, one line each.
        words: What the file calls sizes and tensors, for an architecture to translate; `None`
            where they are called as it calls them.
    """

    source: TensorSource
    config: Mapping[str, object]
    tokenizer: Mapping[str, str]
    notes: tuple[str, ...] = ()
    words: FormatWords | None = None


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
