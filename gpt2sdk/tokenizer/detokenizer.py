"""Tokens to text one by one, never half a character, with states that can be forked and kept.

A token is a run of bytes, and a character may end in the middle of one; what is not yet a whole
character waits in the state. Many tokenizers spell the first token of a text without the blank
that it has elsewhere: whether there was one is in the state, too.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from gpt2sdk.tokenizer.token_spelling import without_blanks
from gpt2sdk.tokenizer.tokenizer import Tokenizer

# A character has at most four bytes; special tokens may stand between them.
_LONGEST_WAIT = 8


@final
@dataclass(frozen=True, slots=True)
class TextState:
    """What is remembered between tokens: a value, so any number of rows may go on from it.

    Attributes:
        unfinished: Bytes that begin a character.
        borrowed: How many of them are the prompt's, as long as none of the row's own joined them.
        begun: Whether the next token stands behind another one, or is spelled as if it did.
        blanks: How many blanks the text still loses at its beginning.
    """

    unfinished: bytes = b""
    borrowed: int = 0
    begun: bool = True
    blanks: int = 0


_WITHIN = TextState()


@final
class Detokenizer:
    """Turns tokens into text as they come; a pure function of state and token.

    Special tokens have no text. A character that the prompt begins and the tokens end is theirs;
    one that they break off was the prompt's. Otherwise the pieces and what `finish` returns are
    together exactly `tokenizer.decode(tokens, skip_special_tokens=True)`, less what that leaves
    out at the beginning of a text where a prompt was begun with.

    Args:
        tokenizer: Whose tokens they are.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._silent = frozenset(tokenizer.special_tokens.values())
        self._spelling = tokenizer.spelling
        self._bytes = [
            b"" if token in self._silent else spelled
            for token, spelled in enumerate(self._spelling.within)
        ]

    def start(self, prompt: Sequence[int] = ()) -> TextState:
        """Return the state before the first token.

        Args:
            prompt: The tokens that the text continues. They may end inside a character. Where a
                blank belongs to a word's token, as in SentencePiece, the first new word keeps it;
                special tokens alone are no text that could be continued.
        """
        spelling = self._spelling
        alike = spelling.begins_alike
        if alike or any(spelling.speaks(each) and each not in self._silent for each in prompt):
            unfinished = _unfinished(b"".join(map(self._bytes_of, prompt[-_LONGEST_WAIT:])))
            return TextState(unfinished, borrowed=len(unfinished))
        return TextState(begun=not spelling.first, blanks=spelling.strip)

    def step(self, state: TextState, token: int) -> tuple[TextState, str]:
        """Take one token.

        Args:
            state: From `start` or an earlier `step`.
            token: A token id, 0 or more; one that no token has leaves everything as it is.

        Returns:
            The next state, and the text that became complete.
        """
        if not state.begun or state.blanks:
            return self._begin(state, token)
        new = self._bytes_of(token)
        return self._go_on(state, new) if new else (state, "")

    def finish(self, state: TextState) -> str:
        """Return the text of what was still waiting: U+FFFD for a character that was cut."""
        return "" if state.borrowed else state.unfinished.decode(errors="replace")

    def _begin(self, state: TextState, token: int) -> tuple[TextState, str]:
        """Take a token at the beginning of a text."""
        if token in self._silent or not self._spelling.speaks(token):
            return state, ""
        new = self._bytes_of(token) if state.begun else self._spelling.opening(token)
        new, blanks = without_blanks(new, state.blanks)
        if not new:
            return TextState(blanks=blanks), ""
        return self._go_on(_WITHIN, new)

    @staticmethod
    def _go_on(state: TextState, new: bytes) -> tuple[TextState, str]:
        broken = state.borrowed and not _goes_on(state.unfinished + new[:1])
        spelled = new if broken else state.unfinished + new
        text, used = codecs.utf_8_decode(spelled, "replace", False)  # noqa: FBT003 - not by name
        if used == len(spelled):
            return _WITHIN, text
        return TextState(spelled[used:]), text

    def _bytes_of(self, token: int) -> bytes:
        return self._bytes[token] if token < len(self._bytes) else b""


def _goes_on(spelled: bytes) -> bool:
    """Whether bytes are a character, or the beginning of one.

    >>> _goes_on("é".encode()[:1]), _goes_on("é".encode()), _goes_on("é".encode()[:1] + b"a")
    (True, True, False)
    """
    try:
        codecs.utf_8_decode(spelled, "strict", False)  # noqa: FBT003 - not by name
    except UnicodeDecodeError:
        return False
    return True


def _unfinished(spelled: bytes) -> bytes:
    r"""Return the last bytes, where they begin a character that does not end there.

    >>> _unfinished("aé".encode()[:2]), _unfinished("aé".encode())
    (b'\xc3', b'')
    """
    for size in range(1, 4):
        # What begins in the middle of a character is none.
        if (last := spelled[-size:]) and _goes_on(last):
            return last if not codecs.utf_8_decode(last, "strict", False)[1] else b""  # noqa: FBT003
    return b""
