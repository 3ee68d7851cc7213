"""A vocabulary whose tokens are single characters."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from gpt2sdk.errors import TokenizerError

ALPHABET = "abcdefghijklmnopqrstuvwxyz ."


class Letters:
    """Text to tokens and back, one character each; a token beyond the alphabet has no text.

    Example:
        >>> letters = Letters("abc")
        >>> letters.encode("cab")
        [2, 0, 1]
        >>> letters.decode([2, 0, 1, 3])
        'cab'
    """

    adds_bos = False
    bos_token_id = None
    eos_token_id = None
    special_tokens: ClassVar[Mapping[str, int]] = MappingProxyType({})

    def __init__(self, alphabet: str = ALPHABET) -> None:
        self.alphabet = alphabet

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Token ids of a text; there are no special tokens to allow.

        Raises:
            TokenizerError: A character is not in the alphabet.
        """
        places = [self.alphabet.find(character) for character in text]
        if -1 in places:
            character = text[places.index(-1)]
            raise TokenizerError(f"expected characters of {self.alphabet!r}, got {character!r}")
        return places

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""
        return "".join(self.step(None, token)[1] for token in tokens)

    def start(self, prompt: Sequence[int] = ()) -> None:
        """The state before the first token: there is nothing to remember."""

    def step(self, state: None, token: int) -> tuple[None, str]:
        """Take a token: the next state, and its text."""
        return None, self.alphabet[token] if token < len(self.alphabet) else ""

    def finish(self, state: None) -> str:
        """The text of what is still incomplete: none."""
        return ""
