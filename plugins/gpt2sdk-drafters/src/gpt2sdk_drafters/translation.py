"""Between two tokenizers: a row's text in another model's tokens, and its continuation back."""

from collections.abc import Sequence

from gpt2sdk import Vocabulary

_LOOK_BEHIND = 10
"""How many last tokens a continuation is cut into tokens with: it may belong to a word there."""
_CUT = "\N{REPLACEMENT CHARACTER}"
_WINDOW = 256


class Translation:
    """Tokens of one vocabulary to those of another, by their text.

    Example:
        >>> from gpt2sdk.testing import Letters, tiny_tokenizer
        >>> tokenizer, letters = tiny_tokenizer(), Letters()
        >>> between = Translation(tokenizer, letters)
        >>> between.there(tokenizer.encode("on the")) == letters.encode("on the")
        True
        >>> back = between.back(tokenizer.encode("on t"), letters.encode("on t"), [7, 4])
        >>> tokenizer.decode(back)
        'he'
    """

    def __init__(self, here: Vocabulary, there: Vocabulary) -> None:
        """Keep both.

        Args:
            here: The rows' vocabulary.
            there: That of the model that drafts.
        """
        self._here = here
        self._there = there

    def there(self, tokens: Sequence[int]) -> list[int]:
        """Say the end of a text, at least 256 tokens of it, in the other vocabulary.

        Where it begins moves by 256 tokens at a time, so that most of it stays the same. Nothing
        comes out for a text that ends within a character.
        """
        start = max(0, len(tokens) // _WINDOW - 1) * _WINDOW
        text = self._here.decode(tokens[start:])
        if text.endswith(_CUT):
            return []
        try:
            return self._there.encode(text.lstrip(_CUT), allow_special=True)
        except ValueError:
            # An alphabet that lacks a character of it has nothing to say.
            return []

    def back(
        self, tokens: Sequence[int], theirs: Sequence[int], drafted: Sequence[int]
    ) -> list[int]:
        """Say in the rows' own tokens what was drafted.

        Args:
            tokens: The row's text.
            theirs: The same in the other vocabulary.
            drafted: What continues it.
        """
        before = self._there.decode(theirs)
        after = self._there.decode([*theirs, *drafted])
        new = after[len(before) :].rstrip(_CUT)
        tail = list(tokens[-_LOOK_BEHIND:])
        whole = self._here.encode(self._here.decode(tail) + new, allow_special=True)
        if whole[: len(tail)] == tail:
            return whole[len(tail) :]
        return self._here.encode(new, allow_special=True)


def alike(one: Vocabulary, other: Vocabulary) -> bool:
    """Whether two vocabularies seem to have the same tokens: by special ones, and by a sample.

    Taking two for the same that are not makes worse proposals, and nothing else.
    """
    if one is other:
        return True
    if dict(one.special_tokens) != dict(other.special_tokens):
        return False
    sample = "The 2 old kings said: 'Hello, world!'\n\n\tdef naïve(x): return [x] * 10 # αβγ 漢字"
    try:
        return one.encode(sample) == other.encode(sample)
    except ValueError:
        return False
