"""Units: what a particle writes before it is weighed and compared with the others."""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from gpt2sdk import continuation_text
from gpt2sdk_steering.continuation import Continuation

Boundary = Callable[[Continuation], bool]
"""Says of a continuation, after its last token, whether a unit ends there."""

_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s*\Z")

UnitOption = Annotated[
    Literal["token", "word", "sentence"] | Annotated[int, Field(ge=1)] | Boundary,
    Field(
        description="What is written between two resamplings: a token, a word, a sentence, so "
        "many tokens, or what a function of the continuation says ends there."
    ),
]


def boundary(unit: str | int | Boundary) -> Boundary | None:
    """Return what says whether a unit ends; `None` where every token is one.

    A word is over when the next one begins, or with a space. A sentence is over after a full stop,
    question or exclamation mark, with closing quotes and brackets.

    >>> from gpt2sdk import Prompt
    >>> from gpt2sdk.testing import Letters
    >>> text = Continuation("a b.", (0, 26, 1, 27), Prompt(0, (5,)), Letters())
    >>> [boundary(unit)(text) for unit in ("word", "sentence", 3)]
    [False, True, False]
    """
    if callable(unit):
        return unit
    if isinstance(unit, int):
        return lambda it: len(it.tokens) % unit == 0
    return {"token": None, "word": _word, "sentence": _sentence}[unit]


def _word(it: Continuation) -> bool:
    """Whether the last token has a space."""
    last = continuation_text(it.vocabulary, it.tokens[-1:])
    return any(letter.isspace() for letter in last)


def _sentence(it: Continuation) -> bool:
    return _SENTENCE.search(it.text[-16:]) is not None
