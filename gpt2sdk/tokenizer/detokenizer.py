"""Tokens to text one by one, never half a character, with states that can be forked and kept.

A byte-level token is a run of bytes, and a character may end in the middle of one; what is not yet
a whole character waits in the state. Other tokenizers decide on spaces and bytes by looking at
neighbours: there the library decodes a token together with the text before it.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from gpt2sdk.tokenizer.tokenizer import Tokenizer

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
        borrowed: How many of the bytes, or of the waiting tokens, are the prompt's, as long as
            none of the row's own bytes joined them.
    """

    unfinished: bytes = b""
    context: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()
    borrowed: int = 0


_START = TextState()


@final
class Detokenizer:
    """Turns tokens into text as they come; a pure function of state and token.

    Special tokens have no text. A character that the prompt begins and the tokens end is theirs;
    one that they break off was the prompt's. Otherwise the pieces and what `finish` returns are
    together exactly `tokenizer.decode(tokens, skip_special_tokens=True)` for byte-level
    tokenizers; for others too wherever the library's decoder doesn't change what it has already
    decoded.

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
            prompt: The tokens that the text continues. They may end inside a character. Where a
                space belongs to a word's token, as in SentencePiece, this keeps the space before
                the first new word.
        """
        if self._byte_level:
            unfinished = _unfinished(b"".join(map(self._bytes_of, prompt[-2 * _CONTEXT :])))
            return TextState(unfinished, borrowed=len(unfinished))
        spoken = tuple(token for token in prompt[-2 * _CONTEXT :] if token not in self._silent)
        cuts = range(len(spoken), max(len(spoken) - 4, -1), -1)
        whole = (cut for cut in cuts if not self._ends_inside(spoken[:cut]))
        cut = next(whole, len(spoken))
        return TextState(
            context=spoken[:cut][-_CONTEXT:], waiting=spoken[cut:], borrowed=len(spoken) - cut
        )

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
        new = self._bytes_of(token)
        if not new:
            return state, ""
        broken = state.borrowed and not _goes_on(state.unfinished + new[:1])
        spelled = new if broken else state.unfinished + new
        text, used = codecs.utf_8_decode(spelled, "replace", False)  # noqa: FBT003 - not by name
        if used == len(spelled):
            return _START, text
        return TextState(spelled[used:]), text

    def finish(self, state: TextState) -> str:
        """Return the text of what was still waiting: U+FFFD for a character that was cut."""
        if self._byte_level:
            return "" if state.borrowed else state.unfinished.decode(errors="replace")
        return self._own_text(state, state.waiting)

    def _bytes_of(self, token: int) -> bytes:
        return self._bytes[token] if token < len(self._bytes) else b""

    def _decode_after(self, state: TextState, token: int) -> tuple[TextState, str]:
        if token in self._silent:
            return state, ""
        waiting = (*state.waiting, token)
        text = self._own_text(state, waiting)
        undecided = not text or text.endswith(_REPLACEMENT)
        if undecided and len(waiting) < _LONGEST_WAIT:
            return TextState(context=state.context, waiting=waiting, borrowed=state.borrowed), ""
        return TextState(context=waiting), text

    def _own_text(self, state: TextState, waiting: tuple[int, ...]) -> str:
        """Return the text of waiting tokens, less what the prompt's own had already."""
        before = self._tokenizer.decode(state.context)
        text = self._tokenizer.decode(state.context + waiting)[len(before) :]
        borrowed = state.context + waiting[: state.borrowed]
        return text.removeprefix(self._tokenizer.decode(borrowed)[len(before) :])

    def _ends_inside(self, tokens: tuple[int, ...]) -> bool:
        return self._tokenizer.decode(tokens).endswith(_REPLACEMENT)


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
