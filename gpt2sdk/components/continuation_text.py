"""Texts that stand behind others, to tokens and back: where a blank is put, and where none is."""

from collections.abc import Sequence

from gpt2sdk.components.session import ContinuingVocabulary, Vocabulary


def continuation_text(vocabulary: Vocabulary, tokens: Sequence[int]) -> str:
    """Return the text of tokens that stand behind others; special tokens as they are spelled.

    Many tokenizers take the blank from the first word of a text. Of a continuation, it stays.

    Args:
        vocabulary: Whose tokens they are.
        tokens: Token ids.

    >>> from gpt2sdk.testing import tiny_tokenizer
    >>> tokenizer = tiny_tokenizer()
    >>> continuation_text(tokenizer, tokenizer.encode(" upon"))
    ' upon'
    """
    if isinstance(vocabulary, ContinuingVocabulary):
        return vocabulary.decode_continuation(tokens)
    return vocabulary.decode(tokens)


def continuation_tokens(
    vocabulary: Vocabulary, text: str, *, allow_special: bool = False
) -> list[int]:
    """Return the tokens of a text that stands behind another one.

    Many tokenizers put a blank before a text. Before a continuation, there is none.

    Args:
        vocabulary: What cuts it.
        text: The text.
        allow_special: Whether special tokens that it spells out are the tokens they name.

    >>> from gpt2sdk.testing import tiny_tokenizer
    >>> tokenizer = tiny_tokenizer()
    >>> continuation_tokens(tokenizer, "upon") == tokenizer.encode("upon")
    True
    """
    if isinstance(vocabulary, ContinuingVocabulary):
        return vocabulary.encode_continuation(text, allow_special=allow_special)
    return vocabulary.encode(text, allow_special=allow_special)
