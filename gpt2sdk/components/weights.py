"""Where models come from: a plugin may know names that are neither a folder nor on the hub."""

from abc import abstractmethod
from pathlib import Path

from gpt2sdk.components.component import Component


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
