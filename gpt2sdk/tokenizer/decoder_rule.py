"""How a tokenizer's decoder spells its tokens: what each piece stands for, first and behind others.

The library decodes a whole list of tokens. What it does to one of them depends on nothing but
whether it is the first, for every kind that is read here; so each token has bytes of its own.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from gpt2sdk.errors import TokenizerError

Piece = str | bytes
"""What a token is spelled with; bytes once they are known, which nothing changes any more."""

Spell = Callable[[str, bool], Piece]
"""One decoder's part: a piece, and whether it is the first of a text."""

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# What the library's WordPiece decoder writes otherwise, token by token, in this order.
_CLEANUP = (
    *((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't")),
    *((" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")),
)
_READ = "ByteLevel, ByteFallback, Metaspace, WordPiece, Replace (of a text), Strip and Fuse"


@dataclass(frozen=True, slots=True)
class DecoderRule:
    """What a decoder does, token by token.

    Attributes:
        steps: What becomes of a piece, in this order.
        strip: How many blanks a whole text loses at its beginning.
        byte_level: Whether pieces are written in letters that stand for bytes.
        byte_fallback: Whether pieces such as `<0x0A>` are single bytes.
        begins_alike: Whether the first piece of a text is spelled as any other, but for blanks
            that are stripped.
    """

    steps: tuple[Spell, ...]
    strip: int = 0
    byte_level: bool = False
    byte_fallback: bool = False
    begins_alike: bool = False

    def spell(self, text: str, *, first: bool) -> bytes:
        """Return the bytes of a piece.

        Args:
            text: The piece, as the vocabulary has it.
            first: Whether it begins a text.
        """
        piece: Piece = text
        for step in self.steps:
            if isinstance(piece, str):
                piece = step(piece, first)
        return piece.encode() if isinstance(piece, str) else piece


def read_rule(library: Tokenizer) -> DecoderRule:
    """Read the decoder of a tokenizer.

    Raises:
        TokenizerError: If it is of a kind that does not spell its tokens one by one.
    """
    if library.decoder is None:
        # Then the library puts blanks between tokens.
        return DecoderRule((lambda text, first: text if first else f" {text}",))
    parts = list(_parts(_written(library.decoder)))
    kinds = [str(part.get("type")) for part in parts]
    whole = next((place for place, kind in enumerate(kinds) if kind in _JOINING), len(parts))
    steps = tuple(_step(part, library) for part in parts[:whole])
    strips = [_strip_of_text(part, library) for part in parts[whole + 1 :]]
    byte_level = "ByteLevel" in kinds[: whole + 1]
    if byte_level:
        steps = (*steps, lambda text, first: spelled_bytes(text))
    alike = not {"Metaspace", "WordPiece"} & set(kinds[:whole])
    return DecoderRule(steps, sum(strips), byte_level, "ByteFallback" in kinds[:whole], alike)


_JOINING = ("Fuse", "ByteLevel")


def _written(decoder: object) -> dict[str, Any]:
    """Return what the library would write of a decoder into `tokenizer.json`."""
    state = decoder.__getstate__()
    found = json.loads(state) if isinstance(state, bytes | str) else {}
    return dict(found)


def _parts(written: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if written.get("type") != "Sequence":
        yield written
        return
    for part in written.get("decoders", ()):
        yield from _parts(part)


def _step(part: Mapping[str, Any], library: Tokenizer) -> Spell:
    """Return what one decoder does to a piece."""
    kind = part.get("type")
    if kind == "ByteFallback":
        return lambda text, first: _byte(text)
    if kind == "Replace" and "String" in part.get("pattern", {}):
        old, new = str(part["pattern"]["String"]), str(part["content"])
        return lambda text, first: text.replace(old, new)
    if kind == "Metaspace":
        blank = str(part.get("replacement", "▁"))
        keeps = part.get("prepend_scheme", "always") == "never"
        return lambda text, first: text.replace(blank, "" if first and not keeps else " ")
    if kind == "WordPiece":
        prefix, cleanup = str(part.get("prefix", "##")), part.get("cleanup") is True
        return lambda text, first: _word(text, prefix, first=first, cleanup=cleanup)
    if kind == "Strip":
        edge, start, stop = str(part["content"]), int(part["start"]), int(part["stop"])
        return lambda text, first: _stripped(text, edge, start, stop)
    raise _unknown(part, library)


def _strip_of_text(part: Mapping[str, Any], library: Tokenizer) -> int:
    """Return how many blanks a decoder takes from the beginning of a whole text."""
    if part.get("type") == "Fuse":
        return 0
    if part.get("type") == "Strip" and part.get("content") == " " and not part.get("stop"):
        return int(part.get("start", 0))
    raise _unknown(part, library)


def _unknown(part: Mapping[str, Any], library: Tokenizer) -> TokenizerError:
    kind = part.get("type")
    pattern = " of a regular expression" if kind == "Replace" else ""
    model = type(library.model).__name__
    return TokenizerError(
        f"the tokenizer, a {model}, has the decoder {kind}{pattern} in a place where its tokens "
        f"cannot be spelled one by one: expected {_READ}"
    )


def _byte(text: str) -> Piece:
    found = _BYTE.fullmatch(text)
    return bytes([int(found[1], 16)]) if found else text


def _word(text: str, prefix: str, *, first: bool, cleanup: bool) -> str:
    if not first:
        text = text.removeprefix(prefix) if text.startswith(prefix) else f" {text}"
    for old, new in _CLEANUP if cleanup else ():
        text = text.replace(old, new)
    return text


def _stripped(text: str, edge: str, start: int, stop: int) -> str:
    left = min(start, len(text) - len(text.lstrip(edge)))
    right = min(stop, len(text) - len(text.rstrip(edge)))
    return text[left : max(left, len(text) - right)]


def _byte_alphabet() -> dict[str, int]:
    """Invert the table that gives every byte a printable character (Radford et al. 2019).

    >>> alphabet = _byte_alphabet()
    >>> alphabet["A"], alphabet["Ġ"], len(alphabet)
    (65, 32, 256)
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    shifted = {chr(256 + place): byte for place, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted


_ALPHABET = _byte_alphabet()


def spelled_bytes(text: str) -> bytes:
    r"""Read a piece in the byte alphabet; one with a foreign character stands for itself.

    >>> spelled_bytes("Ġthe"), spelled_bytes("Ã"), spelled_bytes("日")
    (b' the', b'\xc3', b'\xe6\x97\xa5')
    """
    try:
        return bytes([_ALPHABET[character] for character in text])
    except KeyError:
        return text.encode()
