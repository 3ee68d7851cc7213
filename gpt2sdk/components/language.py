"""What is asked of a tokenizer, whoever made it."""

from typing import Protocol

from gpt2sdk.components.session import Vocabulary


class Language(Vocabulary, Protocol):
    """What a generator asks of a tokenizer."""

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends a text."""

    @property
    def adds_bos(self) -> bool:
        """Whether every text is to begin with `bos_token_id`."""

    @property
    def bos_token_id(self) -> int | None:
        """The token that begins a text."""
