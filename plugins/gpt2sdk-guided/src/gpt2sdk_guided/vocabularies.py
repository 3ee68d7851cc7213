"""What llguidance knows of a vocabulary: the bytes of every token, and how text is cut."""

from collections.abc import Sequence
from copy import copy
from weakref import WeakKeyDictionary, ref

from llguidance import LLTokenizer, TokenizerWrapper

from gpt2sdk import Tokenizer, TokenizerError, Vocabulary, continuation_tokens

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class SpelledWords:
    """The tokens of a vocabulary, for llguidance.

    It gets an end token of its own behind the last token, since the tokens that end a text differ
    from prompt to prompt, and may be ordinary words. Behind that stand the bytes that no token
    spells by itself, as a blank in WordPiece: llguidance cuts the text that must come into tokens,
    and forgets what it finds none for.

    Attributes:
        size: How many tokens the model has.
        tokens: The bytes of each, of the end token, and of what is behind it.
        library: llguidance's view of them.

    Example:
        >>> from gpt2sdk.testing import tiny_tokenizer
        >>> tokenizer = tiny_tokenizer()
        >>> words = words_of(tokenizer, tokenizer.vocab_size)
        >>> [words.tokens[token] for token in tokenizer.encode("Once upon")]
        [b'Once', b' upon']
        >>> words is words_of(tokenizer, tokenizer.vocab_size)
        True
    """

    def __init__(self, vocabulary: Vocabulary, size: int) -> None:
        self.size = size
        special = [token for token in vocabulary.special_tokens.values() if token < size]
        self.tokens = [*_spelled(vocabulary, size), b"<end>"]
        self.eos_token_id, self.bos_token_id = size, None
        self.special_token_ids = [*special, size]
        spelled = set(self.tokens)
        # 0xFF is what llguidance marks special tokens with.
        self.tokens += [one for one in map(_byte, range(255)) if one not in spelled]
        # It is kept by its vocabulary, which would never go if this held it.
        self._vocabulary = ref(vocabulary)
        plain = set(range(len(self.tokens))) - {*special, size}
        self._ids = {self.tokens[token]: token for token in sorted(plain, reverse=True)}
        self._longest = max(map(len, self._ids), default=0)
        # A copy: through llguidance's own memory, Python finds no circle to let go.
        count = len(self.tokens)
        self.library = LLTokenizer(TokenizerWrapper(copy(self)), n_vocab=count, eos_token=size)

    def __call__(self, text: str | bytes) -> list[int]:
        """Cut a text as the vocabulary does; greedily where that would change its bytes."""
        whole = text.encode() if isinstance(text, str) else text
        try:
            vocabulary = self._vocabulary()
            ids = [] if vocabulary is None else continuation_tokens(vocabulary, whole.decode())
        except (TokenizerError, UnicodeDecodeError):
            ids = []
        known = all(token < self.size for token in ids)
        if known and b"".join(self.tokens[token] for token in ids) == whole:
            return ids
        return self._greedily(whole)

    def _greedily(self, text: bytes) -> list[int]:
        ids: list[int] = []
        place = 0
        while place < len(text):
            for length in range(min(self._longest, len(text) - place), 0, -1):
                token = self._ids.get(text[place : place + length])
                if token is not None:
                    ids.append(token)
                    place += length
                    break
            else:
                return ids
        return ids


_KNOWN: WeakKeyDictionary[Vocabulary, dict[int, SpelledWords]] = WeakKeyDictionary()


def words_of(vocabulary: Vocabulary, size: int) -> SpelledWords:
    """The words of a vocabulary; made once, and kept as long as it is there."""
    known = _KNOWN.setdefault(vocabulary, {})
    if size not in known:
        known[size] = SpelledWords(vocabulary, size)
    return known[size]


def _byte(number: int) -> bytes:
    return bytes([number])


def _spelled(vocabulary: Vocabulary, size: int) -> Sequence[bytes]:
    """The bytes of each token; none for an id that no token has."""
    table = vocabulary.token_bytes if isinstance(vocabulary, Tokenizer) else None
    if table is not None:
        return [*table[:size], *[b""] * (size - len(table))]
    special = {token: text.encode() for text, token in vocabulary.special_tokens.items()}
    return [special.get(token) or _behind_itself(vocabulary, token) for token in range(size)]


def _behind_itself(vocabulary: Vocabulary, token: int) -> bytes:
    once = vocabulary.decode([token])
    text = vocabulary.decode([token, token])[len(once) :]
    return b"" if _REPLACEMENT in text else text.encode()
