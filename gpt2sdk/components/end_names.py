"""What the config files of a model say of the tokens that end a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from gpt2sdk.config_files import GENERATION_CONFIG_FILE, ConfigFiles
from gpt2sdk.errors import CheckpointError
from gpt2sdk.token_ids import several, token_ids, without_negative_ids


class EndNames(Protocol):
    """What a model's config files say of its end; a `GPT2Config` does."""

    @property
    def vocab_size(self) -> int:
        """How many tokens the model has rows for."""

    @property
    def written_end_tokens(self) -> tuple[int, ...]:
        """The end tokens that stand in the config."""

    @property
    def generation_end_tokens(self) -> tuple[int, ...]:
        """The end tokens of the generation config."""


@dataclass(frozen=True, slots=True)
class NamedEnds:
    """The end tokens that the config files of a model of any architecture name.

    Attributes:
        vocab_size: How many tokens the model has rows for.
        written_end_tokens: Those of the config.
        generation_end_tokens: Those of the generation config.
    """

    vocab_size: int
    written_end_tokens: tuple[int, ...]
    generation_end_tokens: tuple[int, ...]

    @classmethod
    def of(cls, files: ConfigFiles, vocab_size: int) -> Self:
        """Read what the files name.

        Raises:
            CheckpointError: If that is no token id.
        """
        return cls(
            vocab_size,
            _ids(files.values, files.path),
            _ids(files.generation, files.path.parent / GENERATION_CONFIG_FILE),
        )


def _ids(values: Mapping[str, object], path: Path) -> tuple[int, ...]:
    ids = values.get("eos_token_id")
    try:
        return several(token_ids(without_negative_ids(ids)))
    except ValueError as error:
        message = f"{path}: eos_token_id={ids!r}: expected {error}"
        raise CheckpointError(message, path=path) from None
