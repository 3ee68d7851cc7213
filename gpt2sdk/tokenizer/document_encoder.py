"""Documents as the model reads them: where they begin and end, in tokens."""

import re
from collections.abc import Iterator

from gpt2sdk.tokenizer.end_tokens import EndTokens
from gpt2sdk.tokenizer.tokenizer import Tokenizer


class DocumentEncoder:
    """Puts documents into tokens, each with what begins and ends it.

    An end token that is spelled out in a document ends it there; other special tokens are ordinary
    text. A document begins with the bos token where the tokenizer adds one; where that is the end
    token too, the end of the document before it is enough.

    Args:
        tokenizer: The model's.
        ends: Its end tokens.
    """

    def __init__(self, tokenizer: Tokenizer, ends: EndTokens) -> None:
        self._tokenizer = tokenizer
        self._closing = [] if ends.closing is None else [ends.closing]
        bos = tokenizer.bos_token_id
        adds = tokenizer.adds_bos and bos is not None and bos != ends.closing
        self._opening = [bos] if adds and bos is not None else []
        # A word that ends texts is no separator wherever it stands in one.
        self._spelled = {
            text: token
            for token in ends.ids
            if not tokenizer.is_word(token) and (text := tokenizer.token_text(token))
        }

    @property
    def spelled(self) -> frozenset[str]:
        """The texts that end a document within one."""
        return frozenset(self._spelled)

    def encode(self, document: str) -> Iterator[tuple[str, list[int]]]:
        """Yield each text that a document comes to, with its tokens; the end token is the last.

        Raises:
            TokenizerError: If it cannot be encoded.
        """
        for text, end in self._parts(document):
            if encoded := self._tokenizer.encode(text):
                yield text, [*self._opening, *encoded, *end]

    def _parts(self, document: str) -> Iterator[tuple[str, list[int]]]:
        """Yield what stands between spelled end tokens, and what ends it."""
        if not self._spelled:
            yield document, self._closing
            return
        longest_first = sorted(self._spelled, key=len, reverse=True)
        pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", document)
        for text, spelled in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
            yield text, [self._spelled[spelled]] if spelled else self._closing
