"""The model source that holds the storyteller."""

from pathlib import Path

from typing_extensions import override

from gpt2sdk import ModelSource

_NAME = "storyteller"


class Storyteller(ModelSource):
    """A GPT-2 of 5.9 million parameters, trained on fairy tales and shipped with this package.

    Its model card, with data, training command, figures and samples, is `README.md` in its folder.

    Example:
        >>> folder = Storyteller().resolve("storyteller")
        >>> (folder / "model.safetensors").is_file()
        True
        >>> Storyteller().resolve("gpt2") is None
        True
    """

    @override
    def names(self) -> tuple[str, ...]:
        return (_NAME,)

    @override
    def resolve(self, name: str) -> Path | None:
        return Path(__file__).parent / "model" if name == _NAME else None
