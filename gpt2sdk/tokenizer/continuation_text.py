"""The text of tokens that stand behind others."""

from collections.abc import Sequence

from gpt2sdk.components.session import Vocabulary
from gpt2sdk.tokenizer.tokenizer import Tokenizer


def continuation_text(vocabulary: Vocabulary, tokens: Sequence[int]) -> str:
    """Return the text of tokens that stand behind others; special tokens as they are spelled.

    Many tokenizers take the blank from the first word of a text. Of a continuation, it stays.

    Args:
        vocabulary: Whose tokens they are; one that is no `Tokenizer` has no such difference.
        tokens: Token ids.

    >>> from gpt2sdk.testing import tiny_tokenizer
    >>> tokenizer = tiny_tokenizer()
    >>> continuation_text(tokenizer, tokenizer.encode(" upon"))
    ' upon'
    """
    if isinstance(vocabulary, Tokenizer):
        return vocabulary.decode(tokens, continues=True)
    return vocabulary.decode(tokens)
