"""Tokens as answers name them, and where each stands in a text."""

from codecs import getincrementaldecoder
from collections.abc import Sequence

from gpt2sdk import Language, Tokenizer, continuation_text

_Decoder = getincrementaldecoder("utf-8")


class TokenWords:
    """Names the tokens of one tokenizer."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self.special = frozenset(language.special_tokens.values())

    def spelled(self, token: int) -> bytes:
        """Return the bytes of a token where it stands behind others; special ones spelled out."""
        if isinstance(self._language, Tokenizer):
            known = self._language.token_bytes
            return known[token] if token < len(known) else b""
        return continuation_text(self._language, [token]).encode("utf-8", "replace")

    def name(self, token: int) -> str:
        r"""Return what a token is called in an answer, another one for each token with bytes.

        That is its text; bytes that are no whole characters are written as OpenAI does,
        `bytes:\xe2\x80`.
        """
        spelled = self.spelled(token)
        try:
            return spelled.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelled)

    def meter(self, start: int = 0, *, special: bool = False) -> "OffsetMeter":
        """Return what says where tokens begin.

        Args:
            start: The characters before the first.
            special: Whether special tokens are spelled out in the text; otherwise they have none.
        """
        return OffsetMeter(self, start, special=special)


class OffsetMeter:
    """Says at which character of a text each of its tokens begins.

    A token that goes on with a character begins where that does.
    """

    def __init__(self, words: TokenWords, start: int, *, special: bool) -> None:
        self._words = words
        self._length = start
        self._hidden = frozenset() if special else words.special
        self._decoder = _Decoder("replace")

    def take(self, tokens: Sequence[int]) -> list[int]:
        """Return where the next tokens begin."""
        found = []
        for token in tokens:
            found.append(self._length)
            if token not in self._hidden:
                self._length += len(self._decoder.decode(self._words.spelled(token)))
        return found
