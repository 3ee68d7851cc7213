"""Token ids that users write: their types, and whether the model has them."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field

from gpt2sdk import OptionError, Session

TokenId = Annotated[int, Field(ge=0)]


def _not_empty(value: object) -> object:
    """A union's own message would name one of its types only."""
    ids = isinstance(value, tuple) and all(type(token) is int and token >= 0 for token in value)
    if not (value and (ids or isinstance(value, str))):
        raise ValueError("should be a text or a list of token ids, not empty")
    return value


TextOrIds = Annotated[str | tuple[int, ...], BeforeValidator(_not_empty)]
"""What users may write where tokens are wanted."""


def tokens_of(written: str | tuple[int, ...], session: Session, option: str) -> tuple[int, ...]:
    """Return the tokens of what a user wrote; special tokens in a text are the tokens they name.

    Raises:
        OptionError: It has none, or some that the session's model does not have.
    """
    if isinstance(written, tuple):
        tokens = written
    else:
        tokens = tuple(session.vocabulary.encode(written, allow_special=True))
    if not tokens:
        raise OptionError(
            f"{option} has no tokens in {written!r}: expected one or more",
            name=option,
            value=written,
            expected="one token or more",
        )
    check_ids(tokens, session, option)
    return tokens


def check_ids(tokens: Iterable[int], session: Session, option: str) -> None:
    """Refuse ids that the session's model does not have.

    Raises:
        OptionError: An id is not smaller than the vocabulary.
    """
    size = session.model.vocab_size
    for token in tokens:
        if token >= size:
            raise OptionError(
                f"{option} names token {token}: expected an id below {size}",
                name=option,
                value=token,
                expected=f"an id below {size}",
            )
