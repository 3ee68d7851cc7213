"""Text to token ids and back, by the `tokenizers` library, from the files of a checkpoint."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from operator import index
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Self

from tokenizers import Tokenizer as Library
from tokenizers.models import BPE, Unigram
from typing_extensions import override

from gpt2sdk.errors import TokenizerError, listing
from gpt2sdk.tokenizer.added_tokens import placeholder
from gpt2sdk.tokenizer.bos import adds_bos
from gpt2sdk.tokenizer.chat_files import read_templates
from gpt2sdk.tokenizer.chat_writer import ChatWriter
from gpt2sdk.tokenizer.decoder_rule import read_rule
from gpt2sdk.tokenizer.dummy_prefix import without_prefix
from gpt2sdk.tokenizer.stand_ins import StandIns
from gpt2sdk.tokenizer.token_spelling import TokenSpelling, read_spelling
from gpt2sdk.tokenizer.tokenizer_files import (
    TOKENIZER_FILES,
    TokenizerFiles,
    read_tokenizer,
    write_tokenizer,
)
from gpt2sdk.tokenizer.unicode_text import check_unicode

# The library counts tokens in 32 bits.
_IDS = 2**32


class Tokenizer:
    """Encodes text and decodes tokens; immutable, so threads may share one.

    Text is cut as the reference implementation cuts it, with one difference: special tokens that
    are spelled out in a text are ordinary characters unless the caller says otherwise, so a
    prompt cannot end itself.

    Args:
        files: What was read from a folder; `Tokenizer.from_folder` does both.

    Raises:
        TokenizerError: If its decoder is of a kind that does not spell tokens one by one.
    """

    def __init__(self, files: TokenizerFiles) -> None:
        self._files = files
        self._library = files.library
        self._rule = read_rule(files.library)
        self._library.encode_special_tokens = True
        vocab = self._library.get_vocab(with_added_tokens=True)
        self._vocab_size = 1 + max(vocab.values())
        self._placeholders = frozenset(
            token
            for text, token in vocab.items()
            if text.startswith("[PAD") and text == placeholder(token)
        )
        self._special_tokens = {
            added.content: token
            for token, added in sorted(self._library.get_added_tokens_decoder().items())
            if added.special and token not in self._placeholders
        }

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """Read `tokenizer.json`, or `vocab.json` with `merges.txt`, or `vocab.txt`.

        Raises:
            TokenizerError: If no tokenizer is there, or it cannot be read; the message says how a
                kind that only other programs read is converted.
        """
        return cls(read_tokenizer(Path(folder)))

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """Read a tokenizer from the texts of its files, by their names in a folder.

        Raises:
            TokenizerError: As for `from_folder`, or if a name is none of a tokenizer's files.
        """
        unknown = sorted(set(texts) - set(TOKENIZER_FILES))
        if unknown:
            raise TokenizerError(f"expected texts of {listing(TOKENIZER_FILES)}; got {unknown[0]}")
        with TemporaryDirectory() as folder:
            for name, text in texts.items():
                Path(folder, name).write_text(text, encoding="utf-8", newline="")
            return cls(read_tokenizer(Path(folder)))

    @property
    def vocab_size(self) -> int:
        """One more than the highest token id."""
        return self._vocab_size

    @property
    def kind(self) -> str:
        """What it is, in a few words: `byte-level BPE`."""
        model = type(self._library.model).__name__
        if self._rule.byte_level:
            return f"byte-level {model}"
        return f"{model} with byte fallback" if self._rule.byte_fallback else model

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The id of each special token, by its text."""
        return MappingProxyType(self._special_tokens)

    @property
    def bos_token_id(self) -> int | None:
        """The token that begins a text; `None` if there is none."""
        return self._named("bos_token")

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends a text; `None` if there is none."""
        return self._named("eos_token")

    @cached_property
    def adds_bos(self) -> bool:
        """Whether the model was trained to have `bos_token_id` before each text.

        `encode` never adds it: it encodes parts of texts as well.
        """
        named = self._files.special_names.get("bos_token")
        return adds_bos(self._library, named, self._files.settings)

    def is_word(self, token: int) -> bool:
        """Whether text is cut into this token: it is no special, added or unused one."""
        text = self._library.id_to_token(token)
        if text is None or token in self._library.get_added_tokens_decoder():
            return False
        # What byte pairs do not merge into is in the vocabulary for its number alone.
        is_bpe = isinstance(self._library.model, BPE)
        return not is_bpe or [part.id for part in self._library.model.tokenize(text)] == [token]

    def is_idle(self, token: int) -> bool:
        """Whether no text becomes this token, nor has it a role such as `eos_token`."""
        added = self._library.get_added_tokens_decoder().get(token)
        roles = self._files.special_names.values()
        return added is not None and added.special and added.content not in roles

    @property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes of every token where it stands behind others, special ones included.

        A token of a byte-level BPE stands for the bytes that its letters name, an added token for
        its text: `é` is the byte 0xE9 as the one, and two bytes as the other. Where words have
        their blank (`▁the`) or get one (WordPiece), it is among their bytes. An id that no token
        has stands for no bytes.
        """
        return self.spelling.within

    @cached_property
    def spelling(self) -> TokenSpelling:
        """The same, with what is different at the beginning of a text."""
        return read_spelling(self._library, self._rule, self._vocab_size, self._placeholders)

    def encode(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Cut a text into tokens; nothing is added before or after it.

        Args:
            text: Any text.
            allow_special: Let special tokens that are spelled out in the text, such as
                `<|endoftext|>`, become the tokens they name. Not for text from strangers.

        Raises:
            TokenizerError: If it is no text, or holds a lone surrogate (half of a UTF-16 pair).
        """
        check_unicode(text)
        if allow_special:
            return self._special_library.encode(text, add_special_tokens=False).ids
        if self._takes_specials_for_words:
            return self.stand_ins.encode(text)
        return self._library.encode(text, add_special_tokens=False).ids

    def decode(
        self,
        tokens: Iterable[int],
        *,
        skip_special_tokens: bool = False,
    ) -> str:
        """Join tokens into text; bytes that are no characters become U+FFFD.

        An id that no token has adds nothing: models may have more rows than there are tokens.

        Args:
            tokens: Token ids, each 0 or more.
            skip_special_tokens: Leave out special tokens.

        Raises:
            TokenizerError: If something else than a token id is among them.
        """
        spoken = self._spoken(tokens, skip_special_tokens=skip_special_tokens)
        return self.spelling.join(spoken).decode(errors="replace")

    def encode_continuation(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Do as `encode` with a text that stands behind another one.

        It gets no blank before it, where a tokenizer puts one before each text.

        Args:
            text: Any text.
            allow_special: As for `encode`.

        Raises:
            TokenizerError: As for `encode`.
        """
        if self._behind is None:
            return self.encode(text, allow_special=allow_special)
        check_unicode(text)
        return self._behind.encode(self._behind.put(text) if allow_special else text)

    def decode_continuation(
        self, tokens: Iterable[int], *, skip_special_tokens: bool = False
    ) -> str:
        """Do as `decode` with tokens that stand behind others: the first one keeps its blank.

        Args:
            tokens: Token ids, each 0 or more.
            skip_special_tokens: Leave out special tokens.

        Raises:
            TokenizerError: If something else than a token id is among them.
        """
        spoken = self._spoken(tokens, skip_special_tokens=skip_special_tokens)
        return b"".join(map(self.spelling.inside, spoken)).decode(errors="replace")

    def token_text(self, token: int) -> str:
        """Return the text of one token as it stands behind others: ` the`.

        Special and added tokens are as they are spelled.

        Raises:
            TokenizerError: If it is not a token id.
        """
        added = self._library.get_added_tokens_decoder().get(_checked_id(token))
        if added is not None and token not in self._placeholders and not self._rule.byte_level:
            return added.content
        return self.spelling.inside(token).decode(errors="replace")

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, as other programs read them."""
        write_tokenizer(self._files, Path(folder))

    @override
    def __reduce__(self) -> tuple[type[Self], tuple[TokenizerFiles]]:
        # Copies of the library forget its switch; a new object sets it again.
        return type(self), (self._files,)

    def _spoken(self, tokens: Iterable[int], *, skip_special_tokens: bool) -> list[int]:
        ids = [_checked_id(token) for token in tokens if token not in self._placeholders]
        silent = self._special_ids if skip_special_tokens else ()
        return [token for token in ids if token not in silent] if silent else ids

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        return frozenset(self._special_tokens.values())

    @property
    def chat_templates(self) -> Mapping[str, str]:
        """The chat templates, by name; that which is taken where none is named is `default`."""
        return read_templates(self._files.settings, self._files.chat_templates)

    @cached_property
    def chats(self) -> ChatWriter:
        """What makes prompts of messages, with these templates."""
        return ChatWriter(self.stand_ins, self.chat_templates, self._files.special_names)

    @cached_property
    def stand_ins(self) -> StandIns:
        """The tokenizer with secret names for its special tokens, for texts of mixed origin."""
        return StandIns(self._library)

    @cached_property
    def _behind(self) -> StandIns | None:
        """The tokenizer for texts that stand behind others, where that is another one."""
        library = without_prefix(self._library)
        return None if library is None else StandIns(library)

    @cached_property
    def _takes_specials_for_words(self) -> bool:
        """Whether the model finds special tokens in a text by itself.

        A BPE makes tokens by merges, and none of these; others look for their pieces as wholes.
        """
        model = self._library.model
        if isinstance(model, BPE) and not model.ignore_merges:
            return False
        names = (*self._special_tokens, *map(placeholder, self._placeholders))
        pieces = any(model.token_to_id(text) is not None for text in names)
        return pieces or (isinstance(model, Unigram) and self._rule.byte_fallback)

    @cached_property
    def _special_library(self) -> Library:
        """A second copy: the library's switch belongs to the object, not to the call."""
        library = Library.from_str(self._library.to_str())
        library.encode_special_tokens = False
        return library

    def _named(self, name: str) -> int | None:
        text = self._files.special_names.get(name)
        return None if text is None else self._library.token_to_id(text)


def _checked_id(token: object) -> int:
    try:
        number = index(token)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if not 0 <= number < _IDS:
        raise TokenizerError(f"expected token ids, whole numbers of 0 or more: got {token!r:.60}")
    return number
