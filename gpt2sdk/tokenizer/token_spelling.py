"""The bytes of every token, and what is different at the beginning of a text."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from tokenizers import Tokenizer

from gpt2sdk.tokenizer.decoder_rule import DecoderRule

_BLANK = b" "


@dataclass(frozen=True, slots=True)
class TokenSpelling:
    r"""How tokens are spelled, whatever kind of tokenizer they are of.

    Attributes:
        within: The bytes of each token behind others; none for an id that no token has.
        first: The bytes of those that are spelled otherwise where they begin a text.
        strip: How many blanks a text loses at its beginning.

    Example:
        SentencePiece puts a blank before each word, and takes it away from the first one.

        >>> spelling = TokenSpelling((b" Once", b" upon", b"\n"), {}, strip=1)
        >>> spelling.join([0, 1, 2]), spelling.join([2, 0])
        (b'Once upon\n', b'\n Once')

        WordPiece puts one before each word but the first.

        >>> TokenSpelling((b" play", b"ing"), {0: b"play", 1: b"##ing"}).join([0, 1, 0])
        b'playing play'
    """

    within: tuple[bytes, ...]
    first: Mapping[int, bytes]
    strip: int = 0

    @property
    def begins_alike(self) -> bool:
        """Whether every token is spelled at a text's beginning as anywhere else."""
        return not (self.first or self.strip)

    def speaks(self, token: int) -> bool:
        """Whether a token is one that the first of a text can be: an id with a token."""
        return token in self.first or bool(self.inside(token))

    def inside(self, token: int) -> bytes:
        """Return the bytes of a token behind others; none for an id beyond the last token."""
        return self.within[token] if token < len(self.within) else b""

    def opening(self, token: int) -> bytes:
        """Return the bytes of a token that is the first of a text, blanks at its edge included."""
        found = self.first.get(token)
        return self.inside(token) if found is None else found

    def join(self, tokens: Iterable[int]) -> bytes:
        """Return the bytes of a whole text."""
        if self.begins_alike:
            return b"".join(map(self.inside, tokens))
        known = [token for token in tokens if self.speaks(token)]
        spelled = b"".join(map(self.inside, known[1:]))
        return without_blanks(self.opening(known[0]) + spelled, self.strip)[0] if known else b""


def without_blanks(spelled: bytes, most: int) -> tuple[bytes, int]:
    """Take blanks from the beginning, and say how many more the rest of the text loses.

    >>> without_blanks(b"  a", 1), without_blanks(b" ", 2), without_blanks(b"a", 2)
    ((b' a', 0), (b'', 1), (b'a', 0))
    """
    taken = 0
    while taken < most and spelled[taken : taken + 1] == _BLANK:
        taken += 1
    rest = spelled[taken:]
    return rest, 0 if rest else most - taken


def read_spelling(
    library: Tokenizer, rule: DecoderRule, size: int, unspelled: Container[int]
) -> TokenSpelling:
    """Spell every token of a tokenizer.

    A byte-level token stands for the bytes that its letters name, an added token there for its
    text: `é` is the byte 0xE9 as the one, and two bytes as the other.

    Args:
        library: The tokenizer.
        rule: What its decoder does.
        size: One more than the highest id.
        unspelled: Placeholders, which have no text.
    """
    within, first = [b""] * size, {}
    added = library.get_added_tokens_decoder()
    texts = {token: text for text, token in library.get_vocab(with_added_tokens=True).items()}
    for token, text in texts.items():
        if token in unspelled:
            continue
        if rule.byte_level and token in added and not is_merged(library, token, text):
            within[token] = text.encode()
            continue
        within[token] = rule.spell(text, first=False)
        if not rule.begins_alike and (opening := rule.spell(text, first=True)) != within[token]:
            first[token] = opening
    return TokenSpelling(tuple(within), first, rule.strip)


def is_merged(library: Tokenizer, token: int, text: str) -> bool:
    """Whether the model makes an added token of a text, too."""
    model = library.model
    return model.token_to_id(text) == token and [token] == [
        part.id for part in model.tokenize(text)
    ]
