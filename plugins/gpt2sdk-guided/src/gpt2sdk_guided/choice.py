"""Choices: the text is one of a list."""

import re
from typing import Annotated

from llguidance import LLMatcher
from pydantic import AfterValidator, Field
from typing_extensions import override

from gpt2sdk import GRAMMAR_RULE, Completion
from gpt2sdk_guided.constraint import MOST_CHARACTERS, Constraint, Trigger

_MOST_IN_ALL = 1_000_000
_MOST_TEXTS = 10_000


def _check_size(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if texts is None:
        return None
    if not 0 < len(texts) <= _MOST_TEXTS:
        raise ValueError(f"has {len(texts)} texts, expected 1 to {_MOST_TEXTS}; None is off")
    if (size := sum(map(len, texts))) > _MOST_IN_ALL:
        raise ValueError(f"has {size} characters in all, expected {_MOST_IN_ALL} at most")
    return texts


class Choice(Constraint):
    """Lets a row write only one of these texts.

    vLLM's `choice`. The model chooses token by token: for the probabilities of whole texts, score
    them. What was chosen is `completion.parsed`.

    Raises:
        OptionError: In a call: the texts are too many, or too long.

    Example:
        >>> from gpt2sdk.testing import process
        >>> process(Choice(choice=("a", "c")), [[1.0, 2.0, 3.0]]).tolist()
        [[1.0, -inf, 3.0]]
    """

    choice: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)], ...] | None,
        AfterValidator(_check_size),
        GRAMMAR_RULE,
        Field(description="The texts, 1 to 10,000 of them; None is off."),
    ] = None
    grammar_triggers: Trigger = ()

    @property
    @override
    def triggers(self) -> tuple[str, ...]:
        return self.grammar_triggers

    @override
    def source(self) -> str:
        texts = " | ".join(f"/{_literal(each)}/" for each in self.choice or ())
        # One terminal: an automaton, where rules would be an item of the parser for each text.
        return LLMatcher.grammar_from_lark(f"start: TEXT\nTEXT: {texts}")

    @override
    def parse(self, completion: Completion) -> object:
        text = behind(completion.text, self.triggers)
        return text if text in (self.choice or ()) else None


def _literal(text: str) -> str:
    """A text as an expression: what is no letter or digit of ASCII by its number."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: rf"\x{{{ord(found[0]):x}}}", text)


def behind(text: str, triggers: tuple[str, ...]) -> str | None:
    """Return what stands behind the first trigger that is complete.

    >>> behind("so: yes", (": ",)), behind("so", (": ",)), behind("yes", ())
    ('yes', None, 'yes')
    """
    ends = [at + len(each) for each in triggers if (at := text.find(each)) >= 0]
    return text[min(ends) :] if ends else None if triggers else text
