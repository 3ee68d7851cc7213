"""Spelling: tokens and texts as symbols, so that texts are found however they are cut into tokens.

A symbol is a byte of text, 0 to 255, or a special token, which has no text: 256 and more.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from gpt2sdk import Tokenizer, Vocabulary

_SPECIAL = 256
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Spelling:
    """How the tokens of a vocabulary are spelled.

    Byte-level tokens are spelled exactly, parts of characters too. Of other vocabularies a token
    is what it adds behind itself, and one with part of a character is a symbol that is in no text.
    An id that no token has is no symbol at all.

    Example:
        >>> from gpt2sdk.testing import tiny_tokenizer
        >>> tokenizer = tiny_tokenizer()
        >>> spelling = Spelling(tokenizer)
        >>> [bytes(spelling[token]) for token in tokenizer.encode("Once upon")]
        [b'Once', b' upon']
        >>> spelling.of("é<|endoftext|>")
        (195, 169, 256)
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._special = {
            token: _SPECIAL + place
            for place, token in enumerate(vocabulary.special_tokens.values())
        }
        self._known: dict[int, Sequence[int]] = {}
        self._bytes = vocabulary.token_bytes if isinstance(vocabulary, Tokenizer) else None

    def __getitem__(self, token: int) -> Sequence[int]:
        """The symbols of a token."""
        known = self._known.get(token)
        if known is None:
            known = self._known[token] = self._spell(token)
        return known

    def of(self, written: str | Sequence[int]) -> tuple[int, ...]:
        """The symbols of a text that a user wrote, special tokens being themselves, or of ids."""
        if not isinstance(written, str):
            return tuple(symbol for token in written for symbol in self[token])
        symbols: list[int] = []
        for place, part in enumerate(self._names.split(written)):
            symbols += [self._special[self._ids[part]]] if place % 2 else part.encode()
        return tuple(symbols)

    def _spell(self, token: int) -> Sequence[int]:
        if token in self._special:
            return (self._special[token],)
        if self._bytes is not None:
            return self._bytes[token] if token < len(self._bytes) else b""
        once = self._vocabulary.decode([token])
        text = self._vocabulary.decode([token, token])[len(once) :]
        return (_SPECIAL + len(self._special),) if _REPLACEMENT in text else text.encode()

    @property
    def _ids(self) -> Mapping[str, int]:
        return self._vocabulary.special_tokens

    @cached_property
    def _names(self) -> re.Pattern[str]:
        # The longest first, since one may begin as another does.
        names = sorted(filter(None, self._ids), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, names)) or '(?!)'})")
