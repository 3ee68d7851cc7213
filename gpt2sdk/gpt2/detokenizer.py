"""Tokens to text one by one, never half a character, with states that can be forked and kept.

A byte-level token is a run of bytes, and a character may end in the middle of one; what is not yet
a whole character waits in the state. Other tokenizers decide on spaces and bytes by looking at
neighbours: there the library decodes a token together with the text before it.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from gpt2sdk.gpt2.tokenizer import Tokenizer

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A character has at most four bytes, and a byte token holds one; what stays undecided for longer
# is not a character in the making.
_LONGEST_WAIT = 8
_CONTEXT = 4


@final
@dataclass(frozen=True, slots=True)
class TextState:
    """What is remembered between tokens: a value, so any number of rows may go on from it.

    Attributes:
        unfinished: Bytes that begin a character (byte-level tokenizers).
        context: Tokens whose text was given out, and which the next ones are decoded after.
        waiting: Tokens whose text is not certain yet.
    """

    unfinished: bytes = b""
    context: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


_START = TextState()


@final
class Detokenizer:
    """Turns tokens into text as they come; a pure function of state and token.

    Special tokens have no text. For byte-level tokenizers the pieces and what `finish` returns
    are together exactly `tokenizer.decode(tokens, skip_special_tokens=True)`; for others too
    wherever the library's decoder doesn't change what it has already decoded.

    Args:
        tokenizer: Whose tokens they are.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._silent = frozenset(tokenizer.special_tokens.values())
        table = tokenizer.token_bytes
        self._byte_level = table is not None
        self._bytes = [
            b"" if token in self._silent else spelled for token, spelled in enumerate(table or ())
        ]

    def start(self, prompt: Sequence[int] = ()) -> TextState:
        """Return the state before the first token.

        Args:
            prompt: The tokens that the text continues. Where a space belongs to a word's token,
                as in SentencePiece, this keeps the space before the first new word; byte-level
                text does not depend on what stands before it.
        """
        if self._byte_level or not prompt:
            return _START
        spoken = [token for token in prompt[-2 * _CONTEXT :] if token not in self._silent]
        return TextState(context=tuple(spoken[-_CONTEXT:]))

    def step(self, state: TextState, token: int) -> tuple[TextState, str]:
        """Take one token.

        Args:
            state: From `start` or an earlier `step`.
            token: A token id, 0 or more; one that no token has leaves everything as it is.

        Returns:
            The next state, and the text that became complete.
        """
        if not self._byte_level:
            return self._decode_after(state, token)
        if token >= len(self._bytes):
            return state, ""
        spelled = state.unfinished + self._bytes[token]
        text, used = codecs.utf_8_decode(spelled, "replace", False)  # noqa: FBT003 - not by name
        if used == len(spelled):
            return _START, text
        return TextState(spelled[used:]), text

    def finish(self, state: TextState) -> str:
        """Return the text of what was still waiting: U+FFFD for a character that was cut."""
        if self._byte_level:
            return state.unfinished.decode(errors="replace")
        return self._new_text(state.context, state.waiting)

    def _decode_after(self, state: TextState, token: int) -> tuple[TextState, str]:
        if token in self._silent:
            return state, ""
        waiting = (*state.waiting, token)
        text = self._new_text(state.context, waiting)
        undecided = not text or text.endswith(_REPLACEMENT)
        if undecided and len(waiting) < _LONGEST_WAIT:
            return TextState(context=state.context, waiting=waiting), ""
        return TextState(context=waiting), text

    def _new_text(self, context: tuple[int, ...], waiting: tuple[int, ...]) -> str:
        before = self._tokenizer.decode(context)
        return self._tokenizer.decode(context + waiting)[len(before) :]
