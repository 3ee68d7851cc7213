"""Tokens that users write: as a text or as ids, and whether the model has them."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field

from gpt2sdk.components.continuation_text import continuation_tokens
from gpt2sdk.components.session import Session, Vocabulary
from gpt2sdk.errors import OptionError

TokenId = Annotated[int, Field(ge=0)]
"""A token's id, in the annotation of an option; `check_ids` says whether the model has it."""


def _not_empty(value: object) -> object:
    """A union's own message would name one of its types only."""
    ids = isinstance(value, tuple) and all(type(token) is int and token >= 0 for token in value)
    if not (value and (ids or isinstance(value, str))):
        raise ValueError("should be a text or a list of token ids, not empty")
    return value


TextOrIds = Annotated[str | tuple[int, ...], BeforeValidator(_not_empty)]
"""What users may write where tokens are wanted, in the annotation of an option.

It is a text or a list of ids of 0 or more, and not empty; `tokens_of` makes tokens of it.
"""


def tokens_of(
    written: str | tuple[int, ...], session: Session, option: str, *, continues: bool = True
) -> tuple[int, ...]:
    """Return the tokens of what a user wrote; special tokens in a text are the tokens they name.

    Args:
        written: A text or ids.
        session: Where they are wanted.
        option: Where they were written, for messages.
        continues: Whether a text is one that rows write behind others, or a prompt of its own.
            Before the latter some tokenizers put a blank.

    Raises:
        OptionError: It has no tokens, or some that the session's model does not have.

    Example:
        >>> from gpt2sdk.testing import make_rows
        >>> from gpt2sdk.testing.trial import open_session
        >>> session = open_session([make_rows([[0]]).records[0].prompt], vocab_size=28)
        >>> tokens_of((7, 9), session, "bad_words")
        (7, 9)
        >>> tokens_of((7, 28), session, "bad_words")
        Traceback (most recent call last):
            ...
        gpt2sdk.errors.OptionError: bad_words names token 28: expected an id below 28
    """
    if isinstance(written, tuple):
        tokens = written
    else:
        encode = continuation_tokens if continues else _whole
        tokens = tuple(encode(session.vocabulary, written, allow_special=True))
    if not tokens:
        raise OptionError(
            f"{option} has no tokens in {written!r}: expected one or more",
            name=option,
            value=written,
            expected="one token or more",
        )
    check_ids(tokens, session, option)
    return tokens


def _whole(vocabulary: Vocabulary, text: str, *, allow_special: bool) -> list[int]:
    return vocabulary.encode(text, allow_special=allow_special)


def check_ids(tokens: Iterable[int], session: Session, option: str) -> None:
    """Refuse ids that the session's model does not have.

    Args:
        tokens: The ids.
        session: Where they are wanted.
        option: Where they were written, for messages.

    Raises:
        OptionError: An id is below 0, or not below the size of the vocabulary.
    """
    size = session.model.vocab_size
    for token in tokens:
        if not 0 <= token < size:
            expected = f"an id below {size}" if token >= size else "an id of 0 or more"
            raise OptionError(
                f"{option} names token {token}: expected {expected}",
                name=option,
                value=token,
                expected=expected,
            )
